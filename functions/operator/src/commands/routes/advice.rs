//! What is not wrong with routes and is hardly meant: events that would look handled while
//! nothing is done with them.

use std::collections::BTreeMap;

use inbox_processor::handlers::mirror;
use inbox_processor::routes::Routes;

const HANDLER_MIRROR: &str = "mirror";

/// What to think about, of an inbox with these sources and their providers; of sources
/// that nobody knows nothing is said.
pub(in crate::commands) fn of(routes: &Routes, sources: &BTreeMap<String, String>) -> Vec<String> {
    if routes.iter().next().is_none() {
        return vec![
            "there is no route: every event is verified, kept and done, and nothing is done with it"
                .to_owned(),
        ];
    }
    if sources.is_empty() {
        return Vec::new();
    }
    // Of the names alone: which types will come, nobody knows.
    let meets = |route: &inbox_processor::routes::Route, source: &str, provider: &str| {
        let is = route.look_at(source, provider, "");
        is.source || is.provider
    };
    let mut advice = Vec::new();
    for route in routes.iter() {
        let mut met = sources.iter().filter(|(source, provider)| meets(route, source, provider));
        if met.clone().next().is_none() {
            let names = sources.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            advice.push(format!(
                "route {:?} takes no event: {} is neither a source ({names}) nor the provider of one",
                route.id, route.endpoint
            ));
        }
        if route.handler_name == HANDLER_MIRROR
            && let Some((source, provider)) = met.find(|(_, provider)| !mirror::knows(provider))
        {
            advice.push(format!(
                "route {:?} keeps nothing of {source}: {provider} is not among the providers that \
                 mirror knows",
                route.id
            ));
        }
    }
    for (source, provider) in sources {
        if !routes.iter().any(|route| meets(route, source, provider)) {
            advice.push(format!(
                "no route takes anything of {source}: its events are kept and done, and nothing is \
                 done with them"
            ));
        }
    }
    advice
}

#[cfg(test)]
mod tests {
    use inbox_processor::routes::Surroundings;

    use super::*;

    fn advice(routes: &str, sources: &[(&str, &str)]) -> Vec<String> {
        let surroundings = Surroundings {
            sources: sources.iter().map(|(source, _)| (*source).to_owned()).collect(),
            ..Surroundings::complete(Vec::new())
        };
        let routes =
            Routes::of_deployed(Some(routes), &surroundings).unwrap_or_else(|it| panic!("{it:?}"));
        let sources = sources.iter().map(|(source, it)| ((*source).to_owned(), (*it).to_owned()));
        of(&routes, &sources.collect())
    }

    #[test]
    fn what_would_look_handled_and_is_not_is_said_before_it_is_deployed() {
        let two = [("stripe_eu", "stripe"), ("github", "github")];
        let route =
            |pattern: &str| format!(r#"[{{"id":"a","match":"{pattern}:*","handler":"mirror"}}]"#);
        assert_eq!(advice(&route("*"), &two), Vec::<String>::new());
        assert_eq!(
            advice("[]", &two),
            [
                "there is no route: every event is verified, kept and done, and nothing is done with it"
            ]
        );
        assert_eq!(
            advice(&route("stirpe"), &two),
            [
                "route \"a\" takes no event: stirpe is neither a source (github, stripe_eu) nor the \
                 provider of one",
                "no route takes anything of github: its events are kept and done, and nothing is done \
                 with them",
                "no route takes anything of stripe_eu: its events are kept and done, and nothing is \
                 done with them",
            ]
        );
        assert_eq!(
            advice(&route("provider/stripe"), &two),
            [
                "no route takes anything of github: its events are kept and done, and nothing is done \
              with them"
            ]
        );
        assert_eq!(
            advice(&route("*"), &[("acme", "acme")]),
            [
                "route \"a\" keeps nothing of acme: acme is not among the providers that mirror knows"
            ]
        );
        assert_eq!(advice(&route("stirpe"), &[]), Vec::<String>::new(), "sources are not known");
    }
}
