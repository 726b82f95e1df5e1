//! The schemas of bodies, in the form that openapi.json has them, and the examples that follow from them.

use asset_uploads::http::schema::Schema;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Collects the schemas of bodies.
pub(crate) struct Schemas {
    requests: SchemaGenerator,
    responses: SchemaGenerator,
}

impl Schemas {
    /// None yet.
    pub(crate) fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            responses: settings.for_serialize().into_generator(),
        }
    }

    /// The schema of a body that is received; `None` for `()`.
    pub(crate) fn request<T: Schema>(&mut self) -> Option<Value> {
        reference::<T>(&mut self.requests)
    }

    /// The schema of a body that is sent; `None` for `()`.
    pub(crate) fn response<T: Schema>(&mut self) -> Option<Value> {
        reference::<T>(&mut self.responses)
    }

    /// The components, by name. Their examples are still in them.
    pub(crate) fn components(mut self) -> Result<Map<String, Value>, String> {
        let mut components = self.requests.take_definitions(true);
        for (name, schema) in self.responses.take_definitions(true) {
            match components.get(&name) {
                Some(other) if *other != schema => {
                    return Err(format!("there are two schemas called {name}"));
                }
                _ => components.insert(name, schema),
            };
        }
        for (name, schema) in &mut components {
            walk(schema, &tidy);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("title".to_owned(), json!(name));
            }
        }
        Ok(components)
    }
}

fn reference<T: Schema>(generator: &mut SchemaGenerator) -> Option<Value> {
    let schema = generator.subschema_for::<T>().to_value();
    (schema != json!({"type": "null"})).then_some(schema)
}

/// What `$ref` names among the components.
pub(crate) fn resolve<'a>(schema: &'a Value, components: &'a Map<String, Value>) -> Option<&'a Value> {
    match schema.get("$ref") {
        Some(reference) => components.get(reference.as_str()?.rsplit('/').next()?),
        None => Some(schema),
    }
}

/// The example of a schema: its own, or one made of those of its parts.
pub(crate) fn example(schema: &Value, components: &Map<String, Value>) -> Result<Value, String> {
    let resolved = resolve(schema, components).ok_or_else(|| format!("{schema} names no component"))?;
    if let Some(value) = ["examples", "enum"].iter().find_map(|key| resolved.get(key)?.get(0)) {
        return Ok(value.clone());
    }
    if let Some(value) = resolved.get("const") {
        return Ok(value.clone());
    }
    if let Some(first) = resolved.get("anyOf").and_then(|schemas| schemas.get(0)) {
        return example(first, components);
    }
    if let Some(items) = resolved.get("items") {
        return Ok(json!([example(items, components)?]));
    }
    if let Some(properties) = resolved.get("properties").and_then(Value::as_object) {
        let examples =
            properties.iter().map(|(name, schema)| Ok((name.clone(), example(schema, components)?)));
        return examples.collect::<Result<Map<_, _>, String>>().map(Value::Object);
    }
    match (resolved.get("type").and_then(Value::as_str), resolved.get("format").and_then(Value::as_str)) {
        (Some("null"), _) => Ok(Value::Null),
        (Some("boolean"), _) => Ok(json!(true)),
        (_, Some("uuid")) => Ok(json!(crate::samples::ID)),
        (_, Some("date-time")) => Ok(json!(crate::samples::TIME)),
        _ => Err(format!("{resolved} needs an example")),
    }
}

/// Takes out the examples: they stand with the bodies.
pub(crate) fn remove_examples(schema: &mut Value) {
    walk(schema, &|schema| {
        schema.remove("examples");
    });
}

/// Visits a schema and all that it is made of, the innermost first.
fn walk(schema: &mut Value, visit: &impl Fn(&mut Map<String, Value>)) {
    let Some(schema) = schema.as_object_mut() else { return };
    for (key, value) in schema.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| walk(schema, visit));
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| walk(schema, visit));
            }
            ("items" | "additionalProperties" | "not", schema) => walk(schema, visit),
            _ => {}
        }
    }
    visit(schema);
}

/// Gives a schema the form that the user's specification has.
fn tidy(schema: &mut Map<String, Value>) {
    if let Some(text) = schema.get("description").and_then(Value::as_str) {
        let paragraphs: Vec<String> = text.split("\n\n").map(|text| text.replace('\n', " ")).collect();
        schema.insert("description".to_owned(), json!(paragraphs.join("\n\n")));
    }
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        schema.insert("format".to_owned(), json!("int64"));
    }
    list_words(schema);
    split_nullable(schema);
    for (name, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        let refers = property.get("$ref").is_some()
            || property
                .get("anyOf")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .any(|one| one.get("$ref").is_some());
        if let Some(property) = property.as_object_mut().filter(|_| !refers) {
            property.insert("title".to_owned(), json!(title(name)));
        }
    }
}

/// An enumeration as one list of words; what is said of each goes into the description.
fn list_words(schema: &mut Map<String, Value>) {
    let Some(variants) = schema.get("oneOf").and_then(Value::as_array) else { return };
    let words: Option<Vec<Value>> = variants.iter().map(|variant| variant.get("const").cloned()).collect();
    let Some(words) = words else { return };
    let said = variants.iter().filter_map(|variant| {
        let meaning = variant.get("description")?.as_str()?.trim_end_matches('.');
        Some(format!("`{}`: {meaning}", variant.get("const")?.as_str()?))
    });
    let said = format!("{}.", said.collect::<Vec<_>>().join("; "));
    let described = schema.get("description").and_then(Value::as_str);
    let description = described.map_or(said.clone(), |description| format!("{description} {said}"));
    schema.remove("oneOf");
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), json!(words));
    schema.insert("description".to_owned(), json!(description));
}

/// `anyOf` with null, as the specification has it, instead of a list of types.
fn split_nullable(schema: &mut Map<String, Value>) {
    let Some(types) = schema.get("type").and_then(Value::as_array) else { return };
    if types.len() != 2 || types.last() != Some(&json!("null")) {
        return;
    }
    let one = types.first().cloned().unwrap_or_default();
    let (outside, mut inside): (Map<_, _>, Map<_, _>) = std::mem::take(schema)
        .into_iter()
        .filter(|(key, _)| key != "type")
        .partition(|(key, _)| ["description", "examples", "default"].contains(&key.as_str()));
    inside.insert("type".to_owned(), one);
    *schema = outside;
    schema.insert("anyOf".to_owned(), json!([inside, {"type": "null"}]));
}

/// Gives an object this member.
pub(crate) fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// A name as a title: `asset_upload_id` is Asset Upload Id.
pub(crate) fn title(name: &str) -> String {
    let mut title = String::new();
    let mut begins = true;
    for c in name.chars() {
        title.push(match c {
            '_' => ' ',
            c if begins => c.to_ascii_uppercase(),
            c => c,
        });
        begins = matches!(c, '_' | '-');
    }
    title
}
