/**
 * What the inbox sends, and what it understands of a reply. Copy this file; it needs
 * nothing else.
 */

/** CloudEvents 1.0, as the inbox writes it: https://github.com/cloudevents/spec */
export interface CloudEvent<Data> {
  specversion: '1.0';
  /** With `source` the same on every attempt and replay: what to deduplicate by. */
  id: string;
  /** `/webhooks/stripe` */
  source: string;
  /** `stripe.payment_intent.succeeded` */
  type: string;
  /** When it happened, as the provider says, or when it came. */
  time: string;
  /** The provider's object, where it names one: `pi_…` */
  subject?: string;
  datacontenttype?: string;
  /** What the sender called JSON that it did not call JSON. */
  sentcontenttype?: string;
  deliveryid?: string;
  receivedat: string;
  traceparent?: string;
  /** What the provider sent, where it is JSON … */
  data?: Data;
  /** … where it is something else … */
  data_base64?: string;
  /** … and where it is too large: `s3://bucket/key`, gzip where it ends in `.gz`. */
  dataref?: string;
}

/**
 * Nothing means done. An exception, a time-out and a crash mean retry, too. What stands
 * in `reason` is kept for operators
 * where the route says `quote_answers = true`.
 */
export type Reply =
  | void
  | { outcome: 'done' }
  | { outcome: 'retry'; reason: string; after_seconds?: number }
  | { outcome: 'permanent'; reason: string };
