//! All routes.

use inbox_processor::routes::Routes;
use serde_json::{Value, json};

use crate::context::Context;
use crate::fault::Outcome;
use crate::table::{Column, Table};

pub(super) fn run(context: &Context, routes: &Routes) -> Outcome {
    let console = &context.console;
    let pattern = |endpoint: &str, event_type: &str| format!("{endpoint}:{event_type}");
    if console.json {
        let routes = routes.iter().map(|route| {
            json!({
                "id": route.id,
                "match": pattern(&route.endpoint, &route.event_type),
                "handler": route.handler_name,
                "with": route.with,
            })
        });
        console.value(&json!({"routes": routes.collect::<Vec<_>>()}));
        return Outcome::Done;
    }
    let columns = [
        Column::new("route"),
        Column::new("match"),
        Column::new("handler"),
        Column::new("with").cut(),
    ];
    let mut table = Table::new(columns);
    for route in routes.iter() {
        let with = if route.with == Value::Null { String::new() } else { route.with.to_string() };
        table.row([
            route.id.as_str().into(),
            pattern(&route.endpoint, &route.event_type).into(),
            route.handler_name.as_str().into(),
            with.into(),
        ]);
    }
    if table.is_empty() {
        console.line("no routes: every event is done when it is received");
    }
    console.table(&table);
    Outcome::Done
}
