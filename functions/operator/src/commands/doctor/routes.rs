//! The deployed routes: whether the processor starts with them, and whether each that
//! forwards has something to sign with.

use inbox_core::standard_webhooks::check_secret;

use super::secrets::Held;
use super::{Findings, Verdict};
use crate::commands::routes::deployed;
use crate::context::Context;
use crate::fault::Fault;

const ABOUT: &str = "routes";

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    let routes = match deployed::fetch(context).await {
        Ok(Ok(routes)) => routes,
        Ok(Err(problems)) => {
            for problem in problems {
                findings.broken(
                    ABOUT,
                    format!("the processor does not start: {problem}"),
                    "put it right (`inbox routes check FILE` judges a file of them), then `make \
                     deploy`: until then events wait",
                );
            }
            return Ok(());
        }
        Err(fault) => {
            let advice = fault.advice().map(str::to_owned);
            findings.add(ABOUT, Verdict::Unknown, fault.to_string(), advice);
            return Ok(());
        }
    };
    let count = routes.iter().count();
    let plural = if count == 1 { "" } else { "s" };
    findings.ok(ABOUT, format!("{count} route{plural}, as the processor reads them"));
    for (route, secret_id) in deployed::forwarding(&routes) {
        let name = format!("route/{}", route.id);
        let held = Held {
            about: format!("route {}", route.id),
            secret_id,
            first_by: format!("inbox secret add {name} --generate"),
            name,
            used_by: &route.handler_name,
        };
        let aws = deployed::aws_for(context, secret_id).await?;
        held.judge(&aws, findings, check_secret, |_| None).await;
    }
    Ok(())
}
