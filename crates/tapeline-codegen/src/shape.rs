//! A JSON Schema as the few shapes that types in TypeScript and Python can say. What they cannot say becomes any JSON.
//!
//! Owns how schemas are read, references inside a document included. Refuses to know any language.

use serde_json::Value;

/// References may lead in circles; deeper than this a shape is any JSON.
const DEPTH: usize = 12;

/// What a value looks like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Any,
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    /// Exactly this value.
    Literal(Value),
    List(Box<Shape>),
    Tuple(Vec<Shape>),
    /// An object whose keys are not known.
    Map(Box<Shape>),
    Object(Vec<Field>),
    Union(Vec<Shape>),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub name: String,
    pub about: String,
    pub required: bool,
    pub shape: Shape,
}

impl Shape {
    /// Of a whole schema.
    pub(crate) fn of(schema: &Value) -> Self {
        Reader { root: schema }.shape(schema, 0)
    }

    fn union(shapes: impl IntoIterator<Item = Shape>) -> Self {
        let mut flat: Vec<Shape> = Vec::new();
        for shape in shapes {
            let parts = if let Self::Union(parts) = shape { parts } else { vec![shape] };
            for part in parts {
                if !flat.contains(&part) {
                    flat.push(part);
                }
            }
        }
        // Null last, as one says it.
        flat.sort_by_key(|shape| *shape == Self::Null);
        match (flat.len(), flat.contains(&Self::Any)) {
            (_, true) | (0, _) => Self::Any,
            (1, false) => flat.swap_remove(0),
            (_, false) => Self::Union(flat),
        }
    }
}

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn shape(&self, schema: &Value, depth: usize) -> Shape {
        if depth > DEPTH {
            return Shape::Any;
        }
        if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
            let target = place.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Shape::Any, |target| self.shape(target, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return literal(value);
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return Shape::union(values.iter().map(literal));
        }
        if let Some(Value::Array(some)) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
            return Shape::union(some.iter().map(|one| self.shape(one, depth + 1)));
        }
        match schema.get("type") {
            Some(Value::Array(names)) => {
                Shape::union(names.iter().map(|name| self.named(name, schema, depth)))
            }
            Some(name) => self.named(name, schema, depth),
            None if schema.get("properties").is_some() => self.object(schema, depth),
            None => Shape::Any,
        }
    }

    fn named(&self, name: &Value, schema: &Value, depth: usize) -> Shape {
        match name.as_str() {
            Some("null") => Shape::Null,
            Some("boolean") => Shape::Boolean,
            Some("integer") => Shape::Integer,
            Some("number") => Shape::Number,
            Some("string") => Shape::Text,
            Some("array") => self.array(schema, depth),
            Some("object") => self.object(schema, depth),
            _ => Shape::Any,
        }
    }

    fn array(&self, schema: &Value, depth: usize) -> Shape {
        let size = |name| schema.get(name).and_then(Value::as_u64);
        match (schema.get("prefixItems").and_then(Value::as_array), schema.get("items")) {
            (Some(places), _) if size("minItems") == Some(places.len() as u64) => {
                Shape::Tuple(places.iter().map(|place| self.shape(place, depth + 1)).collect())
            }
            (None, Some(items)) => Shape::List(Box::new(self.shape(items, depth + 1))),
            _ => Shape::List(Box::new(Shape::Any)),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Shape {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<_> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let field = |(name, schema): (&String, &Value)| Field {
            name: name.clone(),
            about: text(schema, "description").to_owned(),
            required: required.contains(&name.as_str()),
            shape: self.shape(schema, depth + 1),
        };
        let mut fields: Vec<_> = properties.into_iter().flatten().map(field).collect();
        if fields.is_empty() {
            let more = schema.get("additionalProperties").filter(|more| more.is_object());
            return Shape::Map(Box::new(more.map_or(Shape::Any, |more| self.shape(more, depth + 1))));
        }
        // Required ones first, as the schema lists them.
        fields
            .sort_by_key(|field| required.iter().position(|name| *name == field.name).unwrap_or(usize::MAX));
        Shape::Object(fields)
    }
}

fn literal(value: &Value) -> Shape {
    if value.is_null() { Shape::Null } else { Shape::Literal(value.clone()) }
}

/// A text of a schema; empty where there is none.
pub(crate) fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    impl Shape {
        fn fields(&self) -> &[Field] {
            match self {
                Self::Object(fields) => fields,
                _ => &[],
            }
        }
    }

    #[test]
    fn references_inside_the_document_are_followed_and_circles_end() {
        let schema =
            json!({"$defs": {"price": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/price"}}});
        assert_eq!(Shape::of(&schema).fields()[0].shape, Shape::Number);
        let mut shape = Shape::of(&json!({"properties": {"next": {"$ref": "#"}}}));
        while let Shape::Object(mut fields) = shape {
            shape = fields.remove(0).shape;
        }
        assert_eq!(shape, Shape::Any);
    }

    #[test]
    fn unions_are_flat_name_each_once_and_end_in_null() {
        let schema = json!({"anyOf": [{"type": "null"}, {"type": ["string", "number"]}, {"type": "string"}]});
        assert_eq!(Shape::of(&schema), Shape::Union(vec![Shape::Text, Shape::Number, Shape::Null]));
    }

    #[test]
    fn required_fields_come_first_in_the_schemas_order() {
        let schema = json!({"required": ["z", "b"], "properties": {"a": {}, "b": {}, "z": {}}});
        let names: Vec<_> = Shape::of(&schema).fields().iter().map(|field| field.name.clone()).collect();
        assert_eq!(names, ["z", "b", "a"]);
    }
}
