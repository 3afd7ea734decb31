//! Gives an emulator the roles and policies that the module makes.

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::LocalError;
use crate::access::AccessKey;
use crate::iam::Iam;
use crate::permissions::Permissions;

/// Makes the roles, and a user who has the operator's policies; gives the user's key.
pub(crate) async fn create_principals(
    endpoint_url: &str,
    permissions: &Permissions,
    operator: &str,
) -> Result<AccessKey, LocalError> {
    let iam = Iam::new(endpoint_url);
    for role in permissions.roles.values() {
        iam.create_role(role).await?;
    }
    iam.create_user(operator, &permissions.operator).await
}

/// Gives queues and buckets, which are there already, their own policies. `root` may.
pub(crate) async fn put_resource_policies(
    root: &SdkConfig,
    permissions: &Permissions,
) -> Result<(), LocalError> {
    let sqs = aws_sdk_sqs::Client::new(root);
    let named = [
        (QueueAttributeName::Policy, &permissions.queues),
        (QueueAttributeName::RedriveAllowPolicy, &permissions.redrives),
    ];
    for (attribute, queues) in named {
        for (name, document) in queues {
            let what = format!("give queue {name} its policy");
            let url = sqs.get_queue_url().queue_name(name).send().await;
            let url = url.map_err(LocalError::call(&what))?.queue_url.unwrap_or_default();
            let put = sqs.set_queue_attributes().queue_url(url);
            let put = put.attributes(attribute.clone(), document.to_string()).send().await;
            put.map_err(LocalError::call(what))?;
        }
    }
    let s3 = aws_sdk_s3::Client::new(root);
    for (name, document) in &permissions.buckets {
        let put = s3.put_bucket_policy().bucket(name).policy(document.to_string()).send().await;
        put.map_err(LocalError::call(format!("give bucket {name} its policy")))?;
    }
    Ok(())
}
