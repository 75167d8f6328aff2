//! The documentation as a page: the OpenAPI document written as HTML, without any script.

use super::openapi;
use serde_json::Value;
use std::{fmt::Write as _, sync::LazyLock};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#222;background:#fff}code{font:14px ui-monospace,monospace}h2{margin-top:2.5rem}\
section{border:1px solid #ddd;border-radius:6px;padding:.5rem 1rem;margin:1rem 0}h3{margin:.3rem 0}\
table{border-collapse:collapse;width:100%}td{border-top:1px solid #eee;padding:.25rem .75rem .25rem 0;\
vertical-align:top}b{text-transform:uppercase;color:#06c;margin-right:.5rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}section{border-color:#444}td{border-color:#333}\
a,b{color:#7bf}}";

/// The page.
pub(super) fn page() -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let document = serde_json::from_str(openapi::json()).expect("the document is JSON");
        render(&document)
    });
    &PAGE
}

fn render(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let mut body = format!("<h1>{title}</h1><p>{}</p>", text(&document["info"]["description"]));
    body += "<p>The same for programs: <a href=\"openapi.json\">openapi.json</a></p>";
    for tag in document["tags"].as_array().into_iter().flatten() {
        let _ = write!(body, "<h2>{}</h2><p>{}</p>", text(&tag["name"]), text(&tag["description"]));
        for (path, methods) in entries(&document["paths"]) {
            for (method, operation) in
                entries(methods).filter(|(_, operation)| operation["tags"][0] == tag["name"])
            {
                body += &render_operation(path, method, operation);
            }
        }
    }
    body += "<h2>Types</h2>";
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let name = escape(name);
        let _ =
            write!(body, "<section id=\"{name}\"><h3><code>{name}</code></h3>{}</section>", describe(schema));
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
}

fn render_operation(path: &str, method: &str, operation: &Value) -> String {
    let mut section = format!("<section><h3><b>{}</b><code>{}</code></h3>", escape(method), escape(path));
    let _ =
        write!(section, "<p>{} {}</p><table>", text(&operation["summary"]), text(&operation["description"]));
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let _ = write!(
            section,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            text(&parameter["name"]),
            type_of(&parameter["schema"]),
            text(&parameter["description"])
        );
    }
    let mut content = |label: &str, answer: &Value| {
        let kinds: Vec<String> = entries(&answer["content"])
            .map(|(media_type, body)| {
                format!("{} as <code>{}</code>", type_of(&body["schema"]), escape(media_type))
            })
            .collect();
        let (label, kinds) = (escape(label), kinds.join("<br>"));
        let _ = write!(
            section,
            "<tr><td>{label}</td><td>{kinds}</td><td>{}</td></tr>",
            text(&answer["description"])
        );
    };
    if operation["requestBody"].is_object() {
        content("body", &operation["requestBody"]);
    }
    entries(&operation["responses"]).for_each(|(status, answer)| content(status, answer));
    section + "</table></section>"
}

/// A schema in full: its description, and its fields or variants.
fn describe(schema: &Value) -> String {
    let mut out = String::new();
    if !schema["description"].is_null() {
        let _ = write!(out, "<p>{}</p>", text(&schema["description"]));
    }
    let fields: Vec<_> = entries(&schema["properties"]).collect();
    if !fields.is_empty() {
        out += "<table>";
        for (name, field) in fields {
            // What may be absent is one of two schemas, and the description is at the one that is not `null`.
            let variants = field["oneOf"].as_array().into_iter().flatten();
            let described = variants.chain([field]).find(|schema| schema["description"].is_string());
            let described = described.map_or_else(String::new, |schema| text(&schema["description"]));
            let nested = if field["properties"].is_object() { describe(field) } else { type_of(field) };
            let name = escape(name);
            let _ = write!(out, "<tr><td><code>{name}</code></td><td>{nested}</td><td>{described}</td></tr>");
        }
        out += "</table>";
    }
    for variants in ["oneOf", "anyOf", "allOf"] {
        for variant in schema[variants].as_array().into_iter().flatten() {
            let inner = if variant["properties"].is_object() { describe(variant) } else { type_of(variant) };
            let _ = write!(
                out,
                "<p>{inner} {}</p>",
                match variant["properties"].is_object() {
                    true => String::new(),
                    false => text(&variant["description"]),
                }
            );
        }
    }
    if out.is_empty() || !schema["enum"].is_null() || schema["type"] == "string" {
        let _ = write!(out, "<p>{}</p>", type_of(schema));
    }
    out
}

/// A schema in a word, with a link where it has a name.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", text(value))).collect();
        return values.join(" | ");
    }
    for variants in ["oneOf", "anyOf", "allOf"] {
        if let Some(variants) = schema[variants].as_array() {
            return variants.iter().map(type_of).collect::<Vec<_>>().join(" | ");
        }
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", type_of(&schema["items"])),
        Value::String(kind) => escape(kind),
        Value::Array(kinds) => {
            let words = kinds.iter().map(|kind| match kind.as_str() {
                Some("array") => format!("list of {}", type_of(&schema["items"])),
                _ => text(kind),
            });
            words.collect::<Vec<_>>().join(" | ")
        }
        _ => "any".into(),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A text of the document, made safe for HTML; nothing if there is none.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        Value::Null => String::new(),
        other => escape(&other.to_string()),
    }
}

fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}
