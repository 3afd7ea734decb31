//! Names become addresses here, and those that nothing is sent to are left out.
//!
//! ```text
//! name ─ lookup ─▶ all its addresses ─ judge ─▶ the allowed ones ─▶ connect
//! ```
//!
//! The client asks this resolver and no other, once for each connection, and connects
//! to what it hands on. So what was judged is what is connected to: a name server that
//! answers first with a public address and then with a private one ("DNS rebinding")
//! gains nothing, as there is no second look.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Asks for the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;
/// Says what an address is for, when it is one that nothing is sent to.
pub(super) type Judge = fn(IpAddr) -> Option<&'static str>;

/// Hands on allowed addresses only.
pub(super) struct PublicOnly {
    pub(super) lookup: Lookup,
    pub(super) judge: Judge,
}

/// A name has no address that is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{name} leads to {address} ({what})")]
pub(super) struct AllRefused {
    name: String,
    address: IpAddr,
    what: &'static str,
}

impl PublicOnly {
    /// By this machine's name server and the registries of special addresses.
    pub(super) fn of_this_machine() -> Self {
        let lookup: Lookup = Arc::new(|name| {
            async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            }
            .boxed()
        });
        Self { lookup, judge: address::refused }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let (found, judge) = ((self.lookup)(name.clone()), self.judge);
        Box::pin(async move {
            let found = found.await?;
            let allowed: Vec<SocketAddr> = found
                .iter()
                .filter(|address| judge(**address).is_none())
                // Port 0 stands for the one in the URL.
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            let refused = found.iter().find_map(|address| Some((*address, judge(*address)?)));
            match refused {
                Some((address, what)) if allowed.is_empty() => {
                    Err(AllRefused { name, address, what }.into())
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolved(found: &'static [&'static str]) -> Result<Vec<String>, String> {
        let lookup: Lookup = Arc::new(move |_| {
            async move { Ok(found.iter().map(|text| text.parse().unwrap()).collect()) }.boxed()
        });
        let resolver = PublicOnly { lookup, judge: address::refused };
        let handed_on = resolver.resolve("crm.example.com".parse().unwrap()).await;
        handed_on
            .map(|all| all.map(|address| address.to_string()).collect())
            .map_err(|fault| fault.to_string())
    }

    #[tokio::test]
    async fn of_several_addresses_only_the_allowed_ones_are_handed_on() {
        assert_eq!(
            resolved(&["10.0.0.7", "8.8.8.8", "fd00:ec2::254", "2606:4700::1"]).await,
            Ok(vec!["8.8.8.8:0".to_owned(), "[2606:4700::1]:0".to_owned()])
        );
    }

    #[tokio::test]
    async fn without_an_allowed_one_nothing_is_handed_on() {
        assert_eq!(
            resolved(&["169.254.169.254", "10.0.0.7"]).await,
            Err("crm.example.com leads to 169.254.169.254 (link-local)".to_owned())
        );
        assert_eq!(resolved(&[]).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn this_machines_own_name_is_refused() {
        let resolver = PublicOnly::of_this_machine();
        let fault = resolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(fault.to_string().ends_with("(loopback)"), "{fault}");
    }
}
