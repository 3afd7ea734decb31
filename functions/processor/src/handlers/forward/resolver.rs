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
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::address;

/// Asks for the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;
/// Says what an address is for, when it is one that nothing is sent to.
pub(super) type Judge = fn(IpAddr) -> Option<&'static str>;

/// Hands on allowed addresses only.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) lookup: Lookup,
    pub(super) judge: Judge,
}

/// A name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAddress {
    /// None of its addresses is allowed.
    #[error("{name} leads to {address} ({what})")]
    AllRefused { name: String, address: IpAddr, what: &'static str },
    /// It has none. What the name server said is left out.
    #[error("its name has no address")]
    Unknown,
}

impl Resolver {
    /// By this machine's name server and the registries of special addresses.
    pub(super) fn public_only() -> Self {
        Self { lookup: lookup(), judge: address::refused }
    }

    /// By this machine's name server.
    pub(super) fn any() -> Self {
        Self { lookup: lookup(), judge: |_| None }
    }
}

fn lookup() -> Lookup {
    Arc::new(|name| {
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let name = name.as_str().to_owned();
        let (found, judge) = ((self.lookup)(name.clone()), self.judge);
        async move {
            let found = found.await.map_err(|_| NoAddress::Unknown)?;
            let allowed: Vec<SocketAddr> = found
                .iter()
                .filter(|address| judge(**address).is_none())
                // Port 0 stands for the one in the URL.
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            if !allowed.is_empty() {
                return Ok(allowed.into_iter());
            }
            let refused = found.iter().find_map(|address| Some((*address, judge(*address)?)));
            Err(match refused {
                Some((address, what)) => NoAddress::AllRefused { name, address, what },
                None => NoAddress::Unknown,
            })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolved(found: &'static [&'static str]) -> Result<Vec<String>, String> {
        let lookup: Lookup = Arc::new(move |_| {
            async move { Ok(found.iter().map(|text| text.parse().unwrap()).collect()) }.boxed()
        });
        let mut resolver = Resolver { lookup, judge: address::refused };
        let handed_on = resolver.call("crm.example.com".parse().unwrap()).await;
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
        assert_eq!(resolved(&[]).await, Err("its name has no address".to_owned()));
    }

    #[tokio::test]
    async fn this_machines_own_name_is_refused() {
        let localhost = || "localhost".parse::<Name>().unwrap();
        let fault = Resolver::public_only().call(localhost()).await.err().unwrap();
        assert!(fault.to_string().ends_with("(loopback)"), "{fault}");
        assert!(Resolver::any().call(localhost()).await.is_ok());
    }
}
