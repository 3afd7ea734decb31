//! The region that a route's target is in.
//!
//! ```text
//! arn:aws:sns:eu-central-1:123456789012:tell                      eu-central-1
//! https://sqs.eu-central-1.amazonaws.com/123456789012/ship        eu-central-1
//! orders, http://127.0.0.1:4566/000000000000/ship                 the inbox's own
//! ```
//!
//! A client of the SDK speaks to the region that it was made for, whatever it is asked
//! for: it reads neither the region of an ARN nor the host of a queue's URL. One of the
//! wrong region is told that there is no such queue, topic or function.

/// The region that a target's ARN or URL names, where it names one.
pub(super) fn region_of(target: &str) -> Option<&str> {
    let named = if let Some(rest) = target.strip_prefix("arn:") {
        rest.split(':').nth(2)
    } else {
        let (_, rest) = target.split_once("://")?;
        rest.strip_prefix("sqs.")?.split(['.', ':', '/']).next()
    };
    named.filter(|text| is_region(text))
}

/// `eu-central-1`, `us-gov-west-1`: it becomes a part of host names.
fn is_region(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let is_word = |word: &&str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let ends_in_a_number =
        words.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    words.len() >= 3 && ends_in_a_number && words.iter().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::super::testing::resources;
    use super::*;

    #[test]
    fn an_arn_and_a_queues_url_name_their_region() {
        for (target, region) in [
            ("arn:aws:sns:eu-central-1:123456789012:tell.fifo", "eu-central-1"),
            ("arn:aws:events:us-east-1:123456789012:event-bus/a/b", "us-east-1"),
            ("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:a:live", "us-gov-west-1"),
            ("arn:aws-eusc:secretsmanager:eusc-de-east-1:1:secret:a-AbCdEf", "eusc-de-east-1"),
            ("https://sqs.ap-southeast-2.amazonaws.com/123456789012/ship", "ap-southeast-2"),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/ship.fifo", "cn-north-1"),
        ] {
            assert_eq!(region_of(target), Some(region), "{target}");
        }
    }

    #[test]
    fn names_and_an_emulators_url_name_none() {
        for target in [
            "orders",
            "billing:live",
            "123456789012:function:billing",
            "arn:aws:sns::123456789012:tell",
            "arn:aws:sns:eu-central-1.example.com/-1:123456789012:tell",
            "arn:aws",
            "http://127.0.0.1:4566/000000000000/ship",
            "http://sqs.localhost:4566/000000000000/ship",
            "https://sqs.example.com/ship",
            "https://sqs.queues-1.example.com/ship",
            "https://sqs.our-own-queues.example.com/ship",
            "https://example.com/sqs.eu-central-1.amazonaws.com",
            "",
        ] {
            assert_eq!(region_of(target), None, "{target}");
        }
    }

    #[test]
    fn only_the_region_is_another_one() {
        let ours = resources();
        let theirs = ours.aws_for("arn:aws:sns:eu-central-1:123456789012:tell");
        assert_eq!(theirs.region().map(AsRef::as_ref), Some("eu-central-1"));
        assert_eq!(ours.aws_for("tell").region(), ours.aws.region());
        let back = theirs.into_builder().region(ours.aws.region().cloned()).build();
        assert_eq!(format!("{back:?}"), format!("{:?}", ours.aws));
    }
}
