//! The label that stands in a file beside a picture.

use serde_json::Value;

/// What a label file is, by its ending; the first kind that any sample of a set has counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelKind {
    Cls,
    Json,
    Txt,
}

/// In the order in which they count.
pub(super) const KINDS: [LabelKind; 3] = [LabelKind::Cls, LabelKind::Json, LabelKind::Txt];

/// The fields of a JSON object that are looked for, in this order.
pub(super) const FIELDS: [&str; 4] = ["label", "cls", "class", "class_name"];

impl LabelKind {
    pub(super) fn of_ending(ending: &str) -> Option<LabelKind> {
        KINDS.into_iter().find(|k| k.ending() == ending)
    }

    pub(super) fn ending(self) -> &'static str {
        match self {
            LabelKind::Cls => "cls",
            LabelKind::Json => "json",
            LabelKind::Txt => "txt",
        }
    }

    /// The number or name in a file of this kind, or why there is none.
    pub(super) fn read(self, bytes: &[u8]) -> Result<Value, String> {
        match self {
            LabelKind::Json => {
                let whole: Value = serde_json::from_slice(bytes).map_err(|e| format!("its .json is none: {e}"))?;
                let found = match &whole {
                    Value::Object(map) => FIELDS.iter().find_map(|f| map.get(*f)),
                    plain => Some(plain),
                };
                let label = found.ok_or_else(|| format!("its .json has none of {}", FIELDS.join(", ")))?;
                match label {
                    Value::String(s) if !s.is_empty() => Ok(number_or_name(s)),
                    n if n.is_u64() => Ok(n.clone()),
                    other => Err(format!("the class in its .json is {other}: a number from 0 or a name is needed")),
                }
            }
            LabelKind::Cls | LabelKind::Txt => {
                let text = std::str::from_utf8(bytes).map_err(|_| format!("its .{} is no text", self.ending()))?.trim();
                match text {
                    "" => Err(format!("its .{} is empty", self.ending())),
                    _ => Ok(number_or_name(text)),
                }
            }
        }
    }
}

/// `7` is a number, `n01440764` a name.
fn number_or_name(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_numbers_or_names() {
        assert_eq!(LabelKind::Cls.read(b" 12\n").unwrap(), json!(12));
        assert_eq!(LabelKind::Txt.read("Wei\u{df}".as_bytes()).unwrap(), json!("Wei\u{df}"));
        assert_eq!(LabelKind::Json.read(br#"{"width": 3, "class": "dog", "label": 4}"#).unwrap(), json!(4));
        assert_eq!(LabelKind::Json.read(b"\"7\"").unwrap(), json!(7));
        for (kind, bytes, why) in [
            (LabelKind::Cls, &b" \n"[..], "is empty"),
            (LabelKind::Cls, b"\xff", "no text"),
            (LabelKind::Json, b"{", "is none"),
            (LabelKind::Json, br#"{"caption": "x"}"#, "has none of label"),
            (LabelKind::Json, br#"{"label": -1}"#, "a number from 0"),
            (LabelKind::Json, br#"{"label": null}"#, "a number from 0"),
        ] {
            let e = kind.read(bytes).unwrap_err();
            assert!(e.contains(why), "{e}");
        }
    }
}
