//! The deployed routes: whether the processor starts with them, whether each leads to
//! something that is there, and whether each that forwards has something to sign with.

use inbox_core::standard_webhooks::check_secret;

use super::secrets::Held;
use super::{Findings, Verdict, targets};
use crate::commands::routes::{advice, deployed};
use crate::context::Context;
use crate::fault::Fault;
use crate::moments::counted;

const ABOUT: &str = "routes";

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    let environment = match deployed::environment(context).await {
        Ok(environment) => environment,
        Err(fault) => {
            let advice = fault.advice().map(str::to_owned);
            findings.add(ABOUT, Verdict::Unknown, fault.to_string(), advice);
            return Ok(());
        }
    };
    let routes = match environment.routes() {
        Ok(routes) => routes,
        Err(problems) => {
            let again = if context.is_local() { "start `make run` again" } else { "`make deploy`" };
            let fix = format!(
                "put it right (`inbox routes check FILE` judges a file of them), then {again}: \
                 until then events wait"
            );
            // What is to be done about all of them is said once, with the last.
            let last = problems.len().saturating_sub(1);
            for (n, problem) in problems.into_iter().enumerate() {
                let says = format!("the processor does not start: {problem}");
                let fix = (n == last).then(|| fix.clone());
                findings.add(ABOUT, Verdict::Broken, says, fix);
            }
            return Ok(());
        }
    };
    let count = counted(routes.iter().count() as u64, "route");
    findings.ok(ABOUT, format!("{count}, as the processor reads them"));
    for warning in advice::of(&routes, &context.deployment.providers()) {
        findings.warn(ABOUT, warning, "put the routes right, or take out what sends such events");
    }
    for route in routes.iter() {
        targets::check(context, route, &environment, findings).await?;
    }
    for (route, secret_id) in routes.forwarding() {
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
