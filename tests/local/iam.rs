//! The emulator's IAM: roles, users and their keys, by the services' own calls.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>
//!
//! Plain requests rather than two more SDK crates, as in [`crate::functions`].

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::json;

use crate::access::AccessKey;
use crate::emulator::ACCOUNT_ID;
use crate::permissions::{Policy, Role};
use crate::{LocalError, http_client};

/// Calls IAM and STS at one endpoint, as root.
#[derive(Debug, Clone)]
pub struct Iam {
    endpoint_url: String,
}

impl Iam {
    /// For the emulator at `endpoint_url`.
    #[must_use]
    pub fn new(endpoint_url: &str) -> Self {
        Self { endpoint_url: endpoint_url.to_owned() }
    }

    /// Makes a role with its policies.
    pub async fn create_role(&self, role: &Role) -> Result<(), LocalError> {
        let trust = role.trust.to_string();
        let made = [("RoleName", role.name.as_str()), ("AssumeRolePolicyDocument", &trust)];
        self.call("iam", "CreateRole", &made).await?;
        self.put_policies(role).await
    }

    /// Gives a role the policies that it should have now.
    pub async fn put_policies(&self, role: &Role) -> Result<(), LocalError> {
        for policy in &role.policies {
            let document = policy.document.to_string();
            let put = [
                ("RoleName", role.name.as_str()),
                ("PolicyName", &policy.name),
                ("PolicyDocument", &document),
            ];
            self.call("iam", "PutRolePolicy", &put).await?;
        }
        Ok(())
    }

    /// Makes a role that Lambda may assume and that may do nothing, for a function of
    /// somebody's own; its ARN.
    pub async fn create_bare_role(&self, name: &str) -> Result<String, LocalError> {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": { "Service": "lambda.amazonaws.com" },
            }],
        });
        let role = Role { name: name.to_owned(), trust, policies: Vec::new() };
        self.create_role(&role).await?;
        Ok(format!("arn:aws:iam::{ACCOUNT_ID}:role/{name}"))
    }

    /// The keys that a function with this role gets.
    pub async fn session(&self, role: &str, name: &str) -> Result<AccessKey, LocalError> {
        let arn = format!("arn:aws:iam::{ACCOUNT_ID}:role/{role}");
        let assumed = [("RoleArn", arn.as_str()), ("RoleSessionName", name)];
        key(&self.call("sts", "AssumeRole", &assumed).await?)
    }

    /// Makes a user who has these policies and nothing else, and gives the user's key.
    pub async fn create_user(
        &self,
        name: &str,
        policies: &[Policy],
    ) -> Result<AccessKey, LocalError> {
        self.call("iam", "CreateUser", &[("UserName", name)]).await?;
        for policy in policies {
            let document = policy.document.to_string();
            let made = [("PolicyName", policy.name.as_str()), ("PolicyDocument", &document)];
            self.call("iam", "CreatePolicy", &made).await?;
            let arn = format!("arn:aws:iam::{ACCOUNT_ID}:policy/{}", policy.name);
            let attached = [("UserName", name), ("PolicyArn", &arn)];
            self.call("iam", "AttachUserPolicy", &attached).await?;
        }
        key(&self.call("iam", "CreateAccessKey", &[("UserName", name)]).await?)
    }

    /// Gives a user one more policy.
    pub async fn put_user_policy(&self, user: &str, policy: &Policy) -> Result<(), LocalError> {
        let document = policy.document.to_string();
        let put = [
            ("UserName", user),
            ("PolicyName", policy.name.as_str()),
            ("PolicyDocument", &document),
        ];
        self.call("iam", "PutUserPolicy", &put).await?;
        Ok(())
    }

    async fn call(
        &self,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, LocalError> {
        let version = if service == "sts" { "2011-06-15" } else { "2010-05-08" };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            let _ = write!(form, "&{name}={}", encoded(value));
        }
        let scope = AccessKey::root().unsigned(service);
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", scope.as_str()),
        ];
        let url = format!("{}/", self.endpoint_url);
        let request = http_client::build("POST", &url, &headers, Bytes::from(form))?;
        let answer = http_client::send(request).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        if answer.status().is_success() {
            return Ok(text);
        }
        let named = parameters.first().map_or("", |it| it.1);
        let reason = format!("{}: {text}", answer.status());
        Err(LocalError::Call { what: format!("{service} {action} {named}"), reason })
    }
}

/// For a form; everything but letters and digits is escaped.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The key in an answer. Keys hold no character that XML escapes.
fn key(answer: &str) -> Result<AccessKey, LocalError> {
    let element = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.to_owned())
    };
    let missing = |name: &str| LocalError::Call {
        what: "make an access key".to_owned(),
        reason: format!("the answer has no {name}"),
    };
    Ok(AccessKey {
        access_key_id: element("AccessKeyId").ok_or_else(|| missing("AccessKeyId"))?,
        secret_access_key: element("SecretAccessKey").ok_or_else(|| missing("SecretAccessKey"))?,
        session_token: element("SessionToken"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_survive_the_form() {
        assert_eq!(encoded("a1 {\"x\": \"é/*\"}"), "a1%20%7B%22x%22%3A%20%22%C3%A9%2F%2A%22%7D");
    }

    #[test]
    fn a_key_is_read_from_the_answer_and_a_missing_part_is_named() {
        let answer = "<X><AccessKeyId>A</AccessKeyId><SecretAccessKey>s/+</SecretAccessKey></X>";
        let found = key(answer).expect("a key");
        assert_eq!((found.access_key_id.as_str(), found.secret_access_key.as_str()), ("A", "s/+"));
        assert_eq!(found.session_token, None);
        let fault = key("<AccessKeyId>A</AccessKeyId>").expect_err("no secret");
        assert_eq!(fault.to_string(), "make an access key: the answer has no SecretAccessKey");
    }
}
