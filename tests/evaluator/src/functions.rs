//! Terraform's functions, as far as `infra/` uses them. One that is missing here fails
//! the evaluation by name.
//! <https://developer.hashicorp.com/terraform/language/functions>
//!
//! `try` and `can` are not here: they look at expressions, not at values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use hcl::value::Map;
use hcl::{Number, Value};

type Answer = Result<Value, String>;

type Function = fn(FuncArgs) -> Answer;

/// Makes them known to expressions.
#[expect(clippy::too_many_lines, reason = "a table, a function a line")]
pub(crate) fn declare(context: &mut Context<'_>) {
    let functions: [(&str, Function); 41] = [
        ("alltrue", |it| Ok(items(&it[0])?.iter().all(|it| *it == Value::Bool(true)).into())),
        ("anytrue", |it| Ok(items(&it[0])?.iter().any(|it| *it == Value::Bool(true)).into())),
        ("base64encode", |it| Ok(BASE64.encode(text(&it[0])?).into())),
        ("ceil", |it| whole(number(&it[0])?.ceil())),
        ("coalesce", |it| coalesce(&it)),
        ("compact", |it| {
            let is_given = |it: &Value| !it.is_null() && *it != Value::from("");
            Ok(Value::Array(items(&it[0])?.into_iter().filter(is_given).collect()))
        }),
        ("concat", |it| {
            let lists: Result<Vec<_>, _> = it.iter().map(items).collect();
            Ok(Value::Array(lists?.concat()))
        }),
        ("contains", |it| Ok(items(&it[0])?.contains(&it[1]).into())),
        ("distinct", |it| Ok(Value::Array(distinct(items(&it[0])?)))),
        ("file", |it| {
            std::fs::read_to_string(text(&it[0])?).map(Value::from).map_err(|it| it.to_string())
        }),
        // Packages may or may not be built: what is known of them does not matter here.
        ("filebase64sha256", |it| Ok(format!("<hash of {}>", text(&it[0])?).into())),
        ("fileexists", |it| {
            let path = text(&it[0])?;
            Ok((path.starts_with('<') || std::path::Path::new(&path).exists()).into())
        }),
        ("flatten", |it| Ok(Value::Array(flat(items(&it[0])?)))),
        ("floor", |it| whole(number(&it[0])?.floor())),
        ("format", |it| format(&it)),
        ("join", |it| {
            let parts: Result<Vec<_>, _> = items(&it[1])?.iter().map(text).collect();
            Ok(parts?.join(&text(&it[0])?).into())
        }),
        ("jsondecode", |it| serde_json::from_str(&text(&it[0])?).map_err(|it| it.to_string())),
        // As in Terraform, which writes what HTML reads as escapes.
        // <https://developer.hashicorp.com/terraform/language/functions/jsonencode>
        ("jsonencode", |it| {
            let text = serde_json::to_string(&in_order(it[0].clone()));
            // Terraform escapes `<` and `>` too, which here stand around references.
            text.map(|it| it.replace('&', "\\u0026").into()).map_err(|it| it.to_string())
        }),
        ("keys", |it| {
            Ok(Value::Array(sorted(object(&it[0])?).map(|(key, _)| key.into()).collect()))
        }),
        ("length", |it| match &it[0] {
            Value::Object(object) => Ok(object.len().into()),
            Value::String(text) => Ok(text.chars().count().into()),
            list => Ok(items(list)?.len().into()),
        }),
        ("lookup", |it| match object(&it[0])?.get(&text(&it[1])?) {
            Some(value) => Ok(value.clone()),
            None => it.get(2).cloned().ok_or_else(|| format!("no {}", it[1])),
        }),
        ("lower", |it| Ok(text(&it[0])?.to_lowercase().into())),
        ("max", |it| extreme(&it, f64::max)),
        ("merge", |it| {
            let mut merged = Map::new();
            for argument in it.iter().filter(|it| !it.is_null()) {
                merged.extend(object(argument)?);
            }
            Ok(Value::Object(merged))
        }),
        ("min", |it| extreme(&it, f64::min)),
        ("one", |it| match &items(&it[0])?[..] {
            [] => Ok(Value::Null),
            [one] => Ok(one.clone()),
            _ => Err("more than one".to_owned()),
        }),
        ("range", |it| {
            let end = number(&it[it.len() - 1])?;
            let start = if it.len() == 1 { 0.0 } else { number(&it[0])? };
            let all = std::iter::successors(Some(start), |at| Some(at + 1.0));
            all.take_while(|at| *at < end).map(whole).collect::<Result<_, _>>().map(Value::Array)
        }),
        ("regex", |it| matched(&text(&it[0])?, &text(&it[1])?)),
        ("regexall", |it| {
            let pattern = regex_lite::Regex::new(&text(&it[0])?).map_err(|it| it.to_string())?;
            let text = text(&it[1])?;
            let found = pattern.find_iter(&text).map(|found| Value::from(found.as_str()));
            Ok(Value::Array(found.collect()))
        }),
        ("replace", |it| Ok(text(&it[0])?.replace(&text(&it[1])?, &text(&it[2])?).into())),
        ("sort", |it| {
            let mut texts = items(&it[0])?.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            texts.sort();
            Ok(texts.into())
        }),
        ("split", |it| {
            let parts = text(&it[1])?;
            Ok(parts.split(&text(&it[0])?).map(Value::from).collect::<Vec<_>>().into())
        }),
        ("startswith", |it| Ok(text(&it[0])?.starts_with(&text(&it[1])?).into())),
        ("sum", |it| {
            let all = items(&it[0])?.iter().map(number).collect::<Result<Vec<_>, _>>()?;
            whole(all.iter().sum())
        }),
        ("title", |it| {
            let text = text(&it[0])?;
            let mut letters = text.chars();
            let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
            Ok(format!("{first}{}", letters.as_str()).into())
        }),
        ("toset", |it| {
            let mut all = distinct(items(&it[0])?);
            all.sort_by_key(ToString::to_string);
            Ok(Value::Array(all))
        }),
        (
            "tostring",
            |it| if it[0].is_null() { Ok(Value::Null) } else { text(&it[0]).map(Value::from) },
        ),
        ("trimprefix", |it| {
            let (whole, end) = (text(&it[0])?, text(&it[1])?);
            Ok(whole.strip_prefix(&end).unwrap_or(&whole).into())
        }),
        ("trimsuffix", |it| {
            let (whole, end) = (text(&it[0])?, text(&it[1])?);
            Ok(whole.strip_suffix(&end).unwrap_or(&whole).into())
        }),
        ("upper", |it| Ok(text(&it[0])?.to_uppercase().into())),
        ("values", |it| {
            Ok(Value::Array(sorted(object(&it[0])?).map(|(_, value)| value).collect()))
        }),
    ];
    for (name, function) in functions {
        let definition = FuncDef::builder().variadic_param(ParamType::Any).build(function);
        context.declare_func(name, definition);
    }
    for name in ["tolist", "tomap", "tonumber", "tobool", "nonsensitive", "sensitive"] {
        let definition = FuncDef::builder().param(ParamType::Any).build(|it| Ok(it[0].clone()));
        context.declare_func(name, definition);
    }
}

fn coalesce(arguments: &FuncArgs) -> Answer {
    let given = arguments.iter().find(|it| !it.is_null() && **it != Value::from(""));
    given.cloned().ok_or_else(|| "all are null".to_owned())
}

/// `%s`, `%d` and `%%`.
fn format(arguments: &FuncArgs) -> Answer {
    let pattern = text(&arguments[0])?;
    let mut values = arguments.iter().skip(1);
    let mut out = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match (letter, if letter == '%' { letters.next() } else { None }) {
            ('%', Some('%')) => out.push('%'),
            ('%', Some('s' | 'd' | 'v')) => {
                out.push_str(&text(values.next().ok_or("too few values")?)?);
            }
            ('%', other) => return Err(format!("format does not know %{other:?} here")),
            (plain, _) => out.push(plain),
        }
    }
    Ok(out.into())
}

/// What a pattern with groups found in them, else the whole match. An error where
/// nothing matches, as in Terraform: `can` makes a question of it.
/// <https://developer.hashicorp.com/terraform/language/functions/regex>
fn matched(pattern: &str, text: &str) -> Answer {
    let pattern = regex_lite::Regex::new(pattern).map_err(|it| it.to_string())?;
    let found = pattern.captures(text).ok_or_else(|| format!("{pattern} is not in {text:?}"))?;
    let part = |group: Option<regex_lite::Match<'_>>| {
        group.map_or(Value::Null, |group| group.as_str().into())
    };
    if found.len() == 1 {
        return Ok(part(found.get(0)));
    }
    Ok(Value::Array(found.iter().skip(1).map(part).collect()))
}

fn items(value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items.clone()),
        other => Err(format!("{other} is no list")),
    }
}

fn object(value: &Value) -> Result<Map<String, Value>, String> {
    value.as_object().cloned().ok_or_else(|| format!("{value} is no map"))
}

fn sorted(object: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    let mut entries: Vec<_> = object.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter()
}

/// The same with every map in the order of its keys, as Terraform goes through them.
pub(crate) fn in_order(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            Value::Object(sorted(object).map(|(key, it)| (key, in_order(it))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_order).collect()),
        other => other,
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        other => Err(format!("{other} is no text")),
    }
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_number().and_then(Number::as_f64).ok_or_else(|| format!("{value} is no number"))
}

/// As a whole number where it is one, so that it is written like one.
fn whole(value: f64) -> Answer {
    #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
    let rounded = value as i64;
    #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "that is the question")]
    let is_whole = rounded as f64 == value;
    let number = if is_whole { Some(Number::from(rounded)) } else { Number::from_f64(value) };
    number.map(Value::Number).ok_or_else(|| format!("{value} is no number"))
}

fn extreme(arguments: &FuncArgs, choose: fn(f64, f64) -> f64) -> Answer {
    let all = arguments.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    whole(all.into_iter().reduce(choose).ok_or("no numbers")?)
}

fn distinct(all: Vec<Value>) -> Vec<Value> {
    let mut kept = Vec::new();
    for value in all {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

fn flat(all: Vec<Value>) -> Vec<Value> {
    let flatten = |value| match value {
        Value::Array(inner) => flat(inner),
        other => vec![other],
    };
    all.into_iter().flat_map(flatten).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expressions::evaluate;

    #[test]
    fn texts_are_encoded_and_measured_as_terraform_does() {
        let mut context = Context::new();
        declare(&mut context);
        for (text, expected) in [
            (r#"base64encode("abcd")"#, Value::from("YWJjZA==")),
            (r#"length(regexall("=", base64encode("abcd")))"#, 2.into()),
            (r#"regexall("[0-9]+", "a1b22")"#, hcl::value!(["1", "22"])),
            (
                r#"jsonencode({ url = "a?b=<1>&c" })"#,
                "{\"url\":\"a?b=\\u003c1\\u003e\\u0026c\"}".into(),
            ),
            (r#"length(jsonencode("&"))"#, 8.into()),
        ] {
            assert_eq!(evaluate(&text.parse().unwrap(), &context), Ok(expected), "{text}");
        }
    }
}
