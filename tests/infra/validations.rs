//! What a module's variables say of the values that a caller gives: their `validation`
//! blocks, evaluated.

use hcl::Value;
use hcl::value::Map;

use crate::expressions::evaluate;
use crate::module::Module;
use crate::plan::{checked, surroundings};

/// The messages of all conditions that do not hold. A condition that cannot be
/// evaluated is a mistake of the module, and panics.
pub(crate) fn refusals(module: &Module, given: &Map<String, Value>) -> Vec<String> {
    let mut context = surroundings(module, given);
    // Conditions see what needs no resource, such as stack.json.
    let known = module.locals().into_iter().filter_map(|(name, (_, expression))| {
        Some((name.to_owned(), evaluate(expression, &context).ok()?))
    });
    let known = Value::Object(known.collect());
    context.declare_var("local", known);
    let mut said = Vec::new();
    for (name, (file, variable)) in module.labelled("variable") {
        let blocks = variable.body.blocks();
        for block in blocks.filter(|it| it.identifier.as_str() == "validation") {
            match checked(block, &context) {
                Ok(refusal) => said.extend(refusal),
                Err(reason) => panic!("{file}: variable {name}: validation: {reason}"),
            }
        }
    }
    said
}
