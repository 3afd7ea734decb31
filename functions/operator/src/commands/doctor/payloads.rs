//! The payload bucket: without it, events that are too large for the table are
//! refused.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_bucket::HeadBucketError;
use inbox_aws::describe;

use super::{FIX_DEPLOY, Findings};
use crate::context::Context;
use crate::fault::Fault;

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    let Some(bucket) = &context.deployment.payload_bucket else {
        findings.unknown("payload bucket", "its name is not known: give --stack or PAYLOAD_BUCKET");
        return Ok(());
    };
    let about = format!("payload bucket {bucket}");
    match Client::new(context.aws().await?).head_bucket().bucket(bucket).send().await {
        Ok(_) => findings.ok(about, "is there"),
        Err(error) if error.as_service_error().is_some_and(HeadBucketError::is_not_found) => {
            findings.broken(
                about,
                "is not there: large events are answered 503, and those that were accepted \
                 have lost their payload",
                FIX_DEPLOY,
            );
        }
        // The answer to HEAD has no body, and so no message.
        Err(error) => findings.unknown(about, describe("HeadBucket", &error)),
    }
    Ok(())
}
