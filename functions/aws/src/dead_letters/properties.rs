//! Whatever SQS hands over is a letter or passed over, never a panic.

use aws_sdk_sqs::types::MessageAttributeValue;
use proptest::prelude::*;

use super::*;

fn optional() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(prop_oneof![".{0,12}", "[-0-9]{0,22}"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_a_letter_as_it_came_or_is_passed_over(
        [id, handle, body, sent, receives, from, attribute] in
            [optional(), optional(), optional(), optional(), optional(), optional(), optional()],
    ) {
        use MessageSystemAttributeName::{
            ApproximateReceiveCount, DeadLetterQueueSourceArn, SentTimestamp,
        };
        let system = [(SentTimestamp, &sent), (ApproximateReceiveCount, &receives), (DeadLetterQueueSourceArn, &from)];
        let system = system.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let kind = if attribute.is_some() { "String" } else { "Binary" };
        let attribute =
            MessageAttributeValue::builder().data_type(kind).set_string_value(attribute);
        let message = Message::builder()
            .set_message_id(id.clone())
            .set_receipt_handle(handle.clone())
            .set_body(body.clone())
            .set_attributes(Some(system.collect()))
            .message_attributes("error", attribute.build().unwrap())
            .build();
        let found = letter(message);
        prop_assert_eq!(found.is_some(), id.is_some() && handle.is_some());
        if let Some(found) = found {
            prop_assert_eq!(found.body.as_str(), body.as_deref().unwrap_or_default());
            prop_assert_eq!(&found.moved_from, &from);
            // Bodies and what SQS says of them stay out of logs.
            let body = found.body.clone();
            let shown = format!("{found:?}");
            prop_assert!(body.len() < 8 || !shown.contains(&body) || found.message_id.contains(&body));
        }
    }

    #[test]
    fn every_entry_of_a_batch_is_answered_once_whatever_the_answer_names(
        count in 0_usize..11,
        successful in proptest::collection::vec("[0-9a-z-]{0,3}", 0..12),
        failed in proptest::collection::vec("[0-9a-z-]{0,3}", 0..12),
    ) {
        let failed: Vec<_> = failed
            .iter()
            .map(|id| BatchResultErrorEntry::builder().id(id).code("X").sender_fault(false).build().unwrap())
            .collect();
        let names = successful.iter().map(String::as_str);
        let results = by_entry("DeleteMessageBatch", count, names, &failed);
        prop_assert_eq!(results.len(), count);
        for (at, result) in results.iter().enumerate() {
            let is_named = successful.iter().any(|id| id.parse() == Ok(at));
            prop_assert_eq!(result.is_ok(), is_named);
        }
    }
}
