/**
 * Tells the CRM of each payment, and the inbox what became of it.
 *
 *   2xx                        done
 *   429, 5xx                   retry, when the CRM says so or as the inbox has it
 *   other                      permanent: the same request would fail again
 *   no answer, a bug here      an exception, which the inbox takes for retry
 */

import type { CloudEvent, Reply } from './cloudevent';

/** What is used of Stripe's event. */
interface PaymentEvent {
  data: { object: { id: string; customer: string | null; amount: number; currency: string } };
}

/** Below the function's own time limit, so that the reason is told. */
const CRM_TIMEOUT_MS = 5_000;

export async function handler(event: CloudEvent<PaymentEvent>): Promise<Reply> {
  if (event.data === undefined) {
    return { outcome: 'permanent', reason: 'no JSON in the event itself' };
  }
  const { id, customer, amount, currency } = event.data.data.object;
  const answer = await fetch(crmUrl(), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      // The CRM deduplicates by it: an answer can be lost after the work is done.
      'idempotency-key': `${event.source}#${event.id}`,
    },
    body: JSON.stringify({ payment: id, customer, amount, currency }),
    signal: AbortSignal.timeout(CRM_TIMEOUT_MS),
  });
  await answer.body?.cancel();
  if (answer.ok) return;
  const reason = `the CRM answers ${answer.status}`;
  // Request timeout, too early, too many requests: these pass, unlike other refusals.
  if ([408, 425, 429].includes(answer.status) || answer.status >= 500) {
    const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN);
    return { outcome: 'retry', reason, ...(Number.isFinite(seconds) && { after_seconds: seconds }) };
  }
  return { outcome: 'permanent', reason };
}

function crmUrl(): string {
  const url = process.env.CRM_URL;
  if (url === undefined) throw new Error('CRM_URL is not set');
  return url;
}
