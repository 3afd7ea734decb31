//! Whose secret it is, and where it lies.
//!
//! ```text
//! stripe       the stack file's sources
//! route/crm    the stack file's forward_secrets, what Terraform made; else the deployed
//!              routes, which may name another
//! ```

use std::sync::Arc;

use inbox_aws::{Replaced, SecretVersions, SecretVersionsError, StoredSecret};
use inbox_core::provider::Provider;
use inbox_core::secrets::Secret;
use inbox_core::standard_webhooks;
use inbox_processor::routes::Routes;
use inbox_receiver::providers;
use serde_json::{Value, json};

use crate::commands::routes::deployed;
use crate::context::Context;
use crate::fault::Fault;
use crate::rotation::{NotABundle, Rotation};

const PREFIX_ROUTE: &str = "route/";

/// Who signs with it.
pub(super) enum Owner {
    /// A provider, and receivers verify.
    Source { name: String, provider: Arc<dyn Provider> },
    /// The processor, and an endpoint verifies.
    Route { id: String },
}

impl Owner {
    pub(super) fn provider(&self) -> Option<&'static str> {
        match self {
            Self::Source { provider, .. } => Some(provider.name()),
            Self::Route { .. } => None,
        }
    }

    /// What speaks against a secret that can be one.
    pub(super) fn concern(&self, secret: &Secret) -> Option<&'static str> {
        match self {
            Self::Source { provider, .. } => provider.secret_concern(secret),
            Self::Route { .. } => None,
        }
    }

    /// Whether it can be a signing secret; if not, what to do about it.
    pub(super) fn check(&self, secret: &Secret) -> Result<(), &'static str> {
        match self {
            Self::Source { provider, .. } => provider.check_secret(secret),
            Self::Route { .. } => standard_webhooks::check_secret(secret),
        }
    }
}

/// A secret, and who judges it.
pub(super) struct Subject<'a> {
    /// As the command was given it.
    name: &'a str,
    pub(super) owner: Owner,
    pub(super) secret_id: String,
    versions: SecretVersions,
}

impl<'a> Subject<'a> {
    pub(super) async fn new(context: &Context, name: &'a str) -> Result<Self, Fault> {
        if let Some(id) = name.strip_prefix(PREFIX_ROUTE) {
            let secret_id = secret_id_of(context, id).await?;
            let aws = deployed::aws_for(context, &secret_id).await?;
            let versions = SecretVersions::new(&aws, secret_id.clone());
            return Ok(Self {
                name,
                owner: Owner::Route { id: id.to_owned() },
                secret_id,
                versions,
            });
        }
        let source = context.deployment.source(name)?;
        let provider = providers::require(&source.provider)
            .map_err(|fault| Fault::usage(fault.to_string(), "correct the --stack file"))?;
        let owner = Owner::Source { name: name.to_owned(), provider };
        let secret_id = source.secret_id.clone();
        let versions = SecretVersions::new(context.aws().await?, secret_id.clone());
        Ok(Self { name, owner, secret_id, versions })
    }

    /// A result with whose it is.
    pub(super) fn tagged(&self, mut value: Value) -> Value {
        let (kind, name) = match &self.owner {
            Owner::Source { name, .. } => ("source", name),
            Owner::Route { id } => ("route", id),
        };
        value[kind] = json!(name);
        value
    }

    pub(super) async fn read(&self) -> Result<(StoredSecret, Rotation), Fault> {
        let stored = self.versions.read().await.map_err(|fault| self.fault(fault))?;
        let text = stored.current.as_ref().map(|version| version.text.as_deref());
        let rotation = match text {
            None => Rotation::default(),
            Some(Some(text)) if text.is_empty() => Rotation::default(),
            Some(text) => {
                let text = text.map_or("", String::as_str);
                Rotation::parse(text).map_err(|fault| self.unusable(fault))?
            }
        };
        Ok((stored, rotation))
    }

    fn unusable(&self, fault: NotABundle) -> Fault {
        Fault::refused(
            format!("secret {:?} is unusable: {fault}", self.secret_id),
            "put it right in Secrets Manager: {\"signing_secrets\":[\"the secret\"]}, or the secret alone",
        )
    }

    /// Writes, unless somebody else did since.
    pub(super) async fn replace(
        &self,
        read: &StoredSecret,
        rotation: &Rotation,
    ) -> Result<(), Fault> {
        let replaced = self.versions.replace(read, &rotation.to_json()).await;
        match replaced.map_err(|fault| self.fault(fault))? {
            Replaced::Written => Ok(()),
            Replaced::Overtaken => Err(Fault::refused(
                "somebody else changed this secret at the same moment, and nothing was changed here",
                format!("look at it with `inbox secret show {}` and try again", self.name),
            )),
        }
    }

    fn fault(&self, fault: SecretVersionsError) -> Fault {
        let made = match &self.owner {
            Owner::Source { .. } => "it is made with the deployment (`terraform apply`)",
            Owner::Route { .. } => {
                "it is made with the deployment (`terraform apply`), unless the route names one of \
                 your own"
            }
        };
        match fault {
            SecretVersionsError::Missing(_) => Fault::refused(
                fault.to_string(),
                format!("{made}; look at --stack, --profile and --region"),
            ),
            SecretVersionsError::Deleted(_) => Fault::refused(
                fault.to_string(),
                "restore it with `aws secretsmanager restore-secret --secret-id …`",
            ),
            SecretVersionsError::Unavailable(problem) => Fault::unavailable(problem),
        }
    }
}

/// The stack file first: it is believed of sources too, and Lambda may not tell its
/// reader the routes.
async fn secret_id_of(context: &Context, id: &str) -> Result<String, Fault> {
    if let Some(secret) = context.deployment.forward_secrets.get(id) {
        return Ok(secret.secret_id.clone());
    }
    let routes = deployed::fetch(context).await?;
    let routes = routes.map_err(|problems| deployed::unusable(&problems))?;
    let found = routes.forwarding().find(|(route, _)| route.id == id);
    found.map(|(_, secret_id)| secret_id.to_owned()).ok_or_else(|| unknown(id, &routes))
}

fn unknown(id: &str, routes: &Routes) -> Fault {
    if let Some(route) = routes.iter().find(|route| route.id == id) {
        return Fault::usage(
            format!("route {id:?} has no signing secret: its handler is {}", route.handler_name),
            "only what a route with handler `forward` sends is signed",
        );
    }
    let known: Vec<String> =
        routes.forwarding().map(|(route, _)| format!("{PREFIX_ROUTE}{}", route.id)).collect();
    let advice = match known.as_slice() {
        [] => "no deployed route forwards; `inbox routes` lists them".to_owned(),
        known => format!("known are {}", known.join(", ")),
    };
    Fault::usage(format!("unknown route {id:?}"), advice)
}
