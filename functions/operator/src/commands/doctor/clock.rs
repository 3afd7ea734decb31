//! This machine's clock beside AWS's.
//!
//! Nothing that changes an event goes by it: leases are judged by AWS's time. It still
//! matters to whatever else this machine signs, and to people who compare times.

use std::time::Duration;

use inbox_aws::Difference;

use super::Findings;
use crate::moments::span;

const ABOUT: &str = "clock of this machine";
const FIX: &str = "set it by a time service (NTP): `inbox` goes by AWS's clock, other tools do not";

pub(super) fn check(difference: Option<Difference>, findings: &mut Findings) {
    let Some(difference) = difference else {
        findings.unknown(ABOUT, "AWS's answers do not name the time (header Date)");
        return;
    };
    let within = format!("to within {:.1} s", difference.doubt().as_secs_f64());
    let off_ms = difference.correction_ms();
    let off = span(Duration::from_millis(off_ms.unsigned_abs()));
    match off_ms {
        0 => findings.ok(ABOUT, format!("agrees with AWS's, {within}")),
        1.. => findings.warn(ABOUT, format!("is at least {off} behind AWS's, {within}"), FIX),
        _ => findings.warn(ABOUT, format!("is at least {off} ahead of AWS's, {within}"), FIX),
    }
}
