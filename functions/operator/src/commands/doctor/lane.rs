//! The lane: which routes are slow, and whether it keeps up with them.

use inbox_aws::SqsQueue;
use inbox_core::Timestamp;
use inbox_core::marks::Marks as _;
use inbox_core::queue::Backlog as _;
use inbox_core::stack::stack;

use super::Findings;
use crate::context::Context;
use crate::fault::Fault;
use crate::moments::relative;

const ABOUT: &str = "lane of slow routes";

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    let Some(url) = &context.deployment.lane_url else {
        findings.unknown(ABOUT, "its address is not known: give --stack or LANE_QUEUE_URL");
        return Ok(());
    };
    let marks = match context.ledger().await?.marks().await {
        Ok(marks) => marks,
        Err(fault) => {
            findings.unknown(ABOUT, fault.to_string());
            return Ok(());
        }
    };
    let now = Timestamp::now();
    let slow =
        marks.iter().map(|(route, slow_at)| format!("{route} ({})", relative(*slow_at, now)));
    let slow: Vec<String> = slow.collect();
    let waiting = SqsQueue::new(context.aws().await?, url.clone()).waiting().await;
    match waiting {
        Ok(waiting) => judge(waiting, &slow, findings),
        Err(fault) => findings.unknown(ABOUT, fault.to_string()),
    }
    Ok(())
}

/// What waits can be more than runs at once for a moment only. `slow` are the routes, each
/// with when it was last seen to be slow.
fn judge(waiting: u64, slow: &[String], findings: &mut Findings) {
    let routes = match slow {
        [] => "no route is slow".to_owned(),
        slow => format!("slow, and seen so last: {}", slow.join(", ")),
    };
    let places = stack().lane.maximum_concurrency * stack().event_source_mapping.batch_size;
    let says = format!("{routes}; about {waiting} messages wait");
    if waiting > u64::from(places) {
        findings.warn(
            ABOUT,
            format!("falls behind: {says}, and {places} run at once"),
            "make the targets of these routes faster, or have them answer first and work later; \
             events of other routes are not held up",
        );
    } else {
        findings.ok(ABOUT, says);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn found(waiting: u64, slow: &[&str]) -> (Verdict, String) {
        let mut findings = Findings::default();
        let slow: Vec<String> = slow.iter().map(|it| (*it).to_owned()).collect();
        judge(waiting, &slow, &mut findings);
        let finding = findings.0.remove(0);
        (finding.verdict, finding.says)
    }

    #[test]
    fn a_lane_that_falls_behind_is_told_with_the_routes_that_are_slow() {
        let nothing = "no route is slow; about 0 messages wait";
        assert_eq!(found(0, &[]), (Verdict::Ok, nothing.to_owned()));
        let some = "slow, and seen so last: crm (2m ago); about 100 messages wait";
        assert_eq!(found(100, &["crm (2m ago)"]), (Verdict::Ok, some.to_owned()));
        let behind = "falls behind: slow, and seen so last: crm (2m ago); about 101 messages \
                      wait, and 100 run at once";
        assert_eq!(found(101, &["crm (2m ago)"]), (Verdict::Warning, behind.to_owned()));
    }
}
