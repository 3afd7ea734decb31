//! A route's options (`with`), read so that every problem is named at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// Reads options by name. What nobody asked for by the end is a problem too: most
/// of the time it is a slip of the pen.
pub struct Options<'a> {
    given: Option<&'a Map<String, Value>>,
    known: BTreeSet<&'static str>,
    problems: Vec<String>,
}

impl<'a> Options<'a> {
    /// Options as a route gives them: a JSON object, or nothing.
    #[must_use]
    pub fn of(with: &'a Value) -> Self {
        let mut options = Self::of_object(with);
        if options.given.is_none() && !with.is_null() {
            options.problem("`with` must be an object");
        }
        options
    }

    fn of_object(value: &'a Value) -> Self {
        Self { given: value.as_object(), known: BTreeSet::new(), problems: Vec::new() }
    }

    /// Text that is not empty, where given.
    pub fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let text = self.value(name)?.as_str().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.problem(format_args!("`{name}` must be text that is not empty"));
        }
        text
    }

    /// Text that must be there. Missing, it is empty here and a problem.
    pub fn required_text(&mut self, name: &'static str, example: &str) -> &'a str {
        if self.value(name).is_none() {
            self.problem(format_args!("needs `{name}`, such as {example:?}"));
            return "";
        }
        self.text(name).unwrap_or_default()
    }

    /// True or false; false when it is not given.
    pub fn flag(&mut self, name: &'static str) -> bool {
        let Some(value) = self.value(name) else { return false };
        let flag = value.as_bool();
        if flag.is_none() {
            self.problem(format_args!("`{name}` must be true or false"));
        }
        flag.unwrap_or_default()
    }

    /// A whole number of this range; `default` when it is not given.
    pub fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        let Some(value) = self.value(name) else { return default };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            self.problem(format_args!("`{name}` must be a whole number from {least} to {most}"));
        }
        number.unwrap_or(default)
    }

    /// One of these words; the first one when it is not given.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(value) = self.value(name) else { return default };
        let chosen = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.problem(format_args!("`{name}` must be one of {}", words.join(", ")));
        }
        chosen.map_or(default, |(_, choice)| *choice)
    }

    /// A list, which must be there.
    pub fn list(&mut self, name: &'static str) -> Option<&'a [Value]> {
        let Some(value) = self.value(name) else {
            self.problem(format_args!("needs `{name}`"));
            return None;
        };
        let list = value.as_array();
        if list.is_none() {
            self.problem(format_args!("`{name}` must be a list"));
        }
        list.map(Vec::as_slice)
    }

    /// Options within an option, where it is given. Their problems are told under its name.
    pub fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Options<'a>) -> T,
    ) -> Option<T> {
        let value = self.value(name)?;
        if !value.is_object() {
            self.problem(format_args!("`{name}` must be an object"));
            return None;
        }
        let mut within = Options::of_object(value);
        let made = read(&mut within);
        for problem in within.finish().err().into_iter().flatten() {
            self.problem(format_args!("`{name}`: {problem}"));
        }
        Some(made)
    }

    /// A problem that the handler itself sees.
    pub fn problem(&mut self, problem: impl Display) {
        self.problems.push(problem.to_string());
    }

    /// The end of reading.
    ///
    /// # Errors
    ///
    /// Every problem.
    pub fn finish(mut self) -> Result<(), Vec<String>> {
        let names = self.given.into_iter().flat_map(Map::keys);
        let unknown: Vec<&String> =
            names.filter(|name| !self.known.contains(name.as_str())).collect();
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        for name in unknown {
            self.problems.push(if known.is_empty() {
                format!("has no option `{name}`: it takes none")
            } else {
                format!("has no option `{name}`; there are {}", known.join(", "))
            });
        }
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }

    fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.insert(name);
        self.given?.get(name).filter(|value| !value.is_null())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(with: &Value) -> Result<(&str, Option<&str>, bool, u8), Vec<String>> {
        let mut options = Options::of(with);
        let url = options.required_text("url", "https://example.com");
        let secret = options.text("secret_id");
        let private = options.flag("allow_private");
        let mode = options.choice("mode", &[("structured", 1), ("binary", 2)]);
        options.finish()?;
        Ok((url, secret, private, mode))
    }

    #[test]
    fn what_is_given_is_read_and_the_rest_has_its_default() {
        let with = json!({"url": "u", "secret_id": "s", "allow_private": true, "mode": "binary"});
        assert_eq!(read(&with), Ok(("u", Some("s"), true, 2)));
        assert_eq!(read(&json!({"url": "u", "mode": null})), Ok(("u", None, false, 1)));
    }

    #[test]
    fn a_number_is_whole_and_within_its_range() {
        let read = |with: Value| {
            let mut options = Options::of(&with);
            let number = options.number("max_bytes", 10..=20, 15);
            options.finish().map(|()| number)
        };
        assert_eq!(read(json!({})), Ok(15));
        assert_eq!(read(json!({ "max_bytes": null })), Ok(15));
        assert_eq!(read(json!({ "max_bytes": 10 })), Ok(10));
        assert_eq!(read(json!({ "max_bytes": 20 })), Ok(20));
        for wrong in [json!(9), json!(21), json!(-15), json!(15.5), json!("15"), json!(true)] {
            assert_eq!(
                read(json!({ "max_bytes": wrong })),
                Err(vec!["`max_bytes` must be a whole number from 10 to 20".to_owned()]),
                "{wrong}"
            );
        }
    }

    #[test]
    fn every_problem_is_named() {
        let with = json!({"secret_id": " ", "allow_private": "yes", "mode": "x", "ulr": "u"});
        assert_eq!(
            read(&with).unwrap_err(),
            [
                "needs `url`, such as \"https://example.com\"",
                "`secret_id` must be text that is not empty",
                "`allow_private` must be true or false",
                "`mode` must be one of \"structured\", \"binary\"",
                "has no option `ulr`; there are `allow_private`, `mode`, `secret_id`, `url`",
            ]
        );
        assert_eq!(
            read(&json!(["u"])).unwrap_err(),
            ["`with` must be an object", "needs `url`, such as \"https://example.com\""]
        );
        assert_eq!(Options::of(&Value::Null).finish(), Ok(()));
        assert_eq!(
            Options::of(&json!({"table": "x"})).finish(),
            Err(vec!["has no option `table`: it takes none".to_owned()])
        );
    }
}
