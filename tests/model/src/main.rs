//! Explores worlds, and tells what was found.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use inbox_model::action::Action;
use inbox_model::breaks::Break;
use inbox_model::check::{Verdict, check};
use inbox_model::config::Config;
use inbox_model::liveness::Endless;
use inbox_model::worlds::{LARGE, QUICK};

/// Explores the protocol in small worlds, step by step in every order.
#[derive(clap::Parser)]
struct Options {
    /// Only this world; may be given several times. Without it, all, the smaller first
    #[arg(long = "config", value_name = "NAME")]
    configs: Vec<String>,
    /// Take a remedy away, and show the way to the harm
    #[arg(long = "break", value_name = "NAME", conflicts_with = "configs")]
    broken: Option<String>,
    /// Begin no world after so many seconds, and leave one that is not through then
    #[arg(long, default_value_t = 600, value_name = "N")]
    seconds: u64,
    /// Name the worlds and the breaks
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let worlds: Vec<Config> = QUICK.into_iter().chain(LARGE).collect();
    if options.list {
        println!("worlds: {}", names(worlds.iter().map(|config| config.name)));
        println!("breaks: {}", names(Break::ALL.into_iter().map(|(name, _)| name)));
        return ExitCode::SUCCESS;
    }
    let time = Duration::from_secs(options.seconds);
    if let Some(wanted) = options.broken {
        let Some((_, broken)) = Break::ALL.into_iter().find(|(name, _)| *name == wanted) else {
            println!("no break is named {wanted:?}: --list names them");
            return ExitCode::from(2);
        };
        tell(&check(broken.config(), time).verdict);
        return ExitCode::SUCCESS;
    }
    let unknown = |wanted: &&String| !worlds.iter().any(|config| config.name == **wanted);
    if let Some(wanted) = options.configs.iter().find(unknown) {
        println!("no world is named {wanted:?}: --list names them");
        return ExitCode::from(2);
    }
    let is_wanted = |config: &Config| {
        options.configs.is_empty() || options.configs.iter().any(|name| name == config.name)
    };
    explore(worlds.into_iter().filter(is_wanted), time)
}

fn explore(worlds: impl Iterator<Item = Config>, time: Duration) -> ExitCode {
    let all = Instant::now();
    let (mut states, mut steps, mut is_sound) = (0, 0, true);
    println!("{:32} {:>11} {:>12} {:>6} {:>8}", "world", "states", "steps", "depth", "seconds");
    for config in worlds {
        let left = time.saturating_sub(all.elapsed());
        if left.is_zero() {
            println!("{:32} not begun: time is over", config.name);
            continue;
        }
        let began = Instant::now();
        let report = check(config, left);
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{:32} {:>11} {:>12} {:>6} {seconds:>8.1}{}",
            config.name,
            report.states,
            report.transitions,
            report.depth,
            if report.verdict == Verdict::Unfinished { "  not through" } else { "" },
        );
        states += report.states;
        steps += report.transitions;
        if !matches!(report.verdict, Verdict::Holds | Verdict::Unfinished) {
            is_sound = false;
            tell(&report.verdict);
        }
    }
    let seconds = all.elapsed().as_secs_f64();
    println!("{:32} {states:>11} {steps:>12} {:>6} {seconds:>8.1}", "together", "");
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(verdict: &Verdict) {
    match verdict {
        Verdict::Holds => println!("every promise holds, and everything ends"),
        Verdict::Unfinished => println!("nothing was found, but not everything was seen"),
        Verdict::Breaks(property, way) => {
            println!("broken: {}, after", property.words());
            list(way);
        }
        Verdict::Endless(Endless::Stuck { way }) => {
            println!("stuck: nothing happens any more, and the event is neither done nor dead");
            list(way);
        }
        Verdict::Endless(Endless::Loops { way, cycle, states }) => {
            println!("for ever: a run need never leave these {states} states, reached by");
            list(way);
            println!("and then, again and again,");
            list(cycle);
        }
    }
}

fn list(way: &[Action]) {
    for (n, action) in (1..).zip(way) {
        println!("  {n:3}. {action}");
    }
}

fn names(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
