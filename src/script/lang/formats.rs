//! Formats in templates: `${x:.3}`, `${x:e}`, `${n:,}`, `${x:8.2}`.

use super::exception::into_script;
use super::shown::type_name;
use crate::error::{Error, Result};
use rhai::{Array, Dynamic, Engine, ImmutableString, NativeCallContext, Token};

/// The operator between a value and its format.
pub(super) const OPERATOR: &str = "{:}";
/// What stands for each token of a format but the last.
pub(super) const PREFIX: &str = "{:";

/// Below every operator of the language; with 1 the parser ends an expression.
const PRECEDENCE: u8 = 2;
/// Wider columns and more digits are a slip.
const MOST: usize = 200;

/// What is to be typed.
const HELP: &str = "formats are `.3` (decimals), `8.2` (width and decimals), `,` (thousands), `e`, `.3e`, `.4g` (digits in all), `.1%`, `x`, `b`, `>8`, `<8`, `^8`, `08`, `+`";

/// The tokens that the parser gets.
pub(super) fn set_syntax(rhai: &mut Engine) {
    rhai.register_custom_operator(OPERATOR, PRECEDENCE).expect("the name is no symbol of the language");
    rhai.register_custom_syntax_with_state_raw(
        PREFIX,
        |symbols, _, _| Ok((symbols.len() == 1).then(|| "$expr$".into())),
        false,
        |cx, inputs, _| cx.eval_expression_tree(&inputs[0]),
    );
}

/// What the operator does.
pub(crate) fn install(rhai: &mut Engine) {
    rhai.register_fn(OPERATOR, move |cx: NativeCallContext, value: Dynamic, spec: ImmutableString| {
        let text = Spec::read(&spec).map_err(|e| Error::value("format", e)).and_then(|spec| spec.text(&value));
        text.map_err(|e| into_script(e, cx.call_source(), cx.call_position()))
    });
}

/// How many tokens a format is to the parser.
pub(super) fn tokens(text: &str) -> usize {
    let ended = format!("{text}}}");
    let engine = Engine::new_raw();
    let (tokens, _) = engine.lex([&ended]);
    tokens.take_while(|(token, _)| !matches!(token, Token::RightBrace | Token::EOF)).count()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Align {
    Left,
    Right,
    Middle,
}

/// `[[fill]align][+][0][width][,][.precision][kind]`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spec {
    fill: char,
    align: Option<Align>,
    plus: bool,
    zeros: bool,
    width: usize,
    group: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    /// Reads a format; what is wrong with it otherwise.
    pub(super) fn read(text: &str) -> std::result::Result<Spec, String> {
        let wrong = || format!("`:{text}` is no format; {HELP}");
        let mut spec = Spec { fill: ' ', align: None, plus: false, zeros: false, width: 0, group: None, precision: None, kind: None };
        let align = |c: char| match c {
            '<' => Some(Align::Left),
            '>' => Some(Align::Right),
            '^' => Some(Align::Middle),
            _ => None,
        };
        let mut rest: Vec<char> = text.trim().chars().collect();
        rest.reverse();
        if let Some(a) = rest.len().checked_sub(2).and_then(|i| align(rest[i]))
            && let Some(fill) = rest.pop()
        {
            (spec.fill, spec.align) = (fill, Some(a));
            rest.pop();
        } else if let Some(a) = rest.last().and_then(|c| align(*c)) {
            spec.align = Some(a);
            rest.pop();
        }
        spec.plus = rest.pop_if(|c| *c == '+').is_some();
        spec.zeros = rest.pop_if(|c| *c == '0').is_some();
        spec.width = digits(&mut rest).unwrap_or_default();
        spec.group = rest.pop_if(|c| matches!(c, ',' | '_'));
        if rest.pop_if(|c| *c == '.').is_some() {
            spec.precision = Some(digits(&mut rest).ok_or_else(wrong)?);
        }
        spec.kind = rest.pop_if(|c| matches!(c, 'e' | 'E' | 'f' | 'g' | 'd' | 'x' | 'X' | 'b' | 'o' | '%' | 's'));
        let is_empty = text.trim().is_empty();
        let is_odd = matches!(spec.kind, Some('d' | 'x' | 'X' | 'b' | 'o')) && spec.precision.is_some();
        if !rest.is_empty() || is_empty || is_odd || spec.width > MOST || spec.precision.is_some_and(|p| p > MOST) {
            return Err(wrong());
        }
        Ok(spec)
    }

    /// A value in this format.
    ///
    /// # Errors
    /// `E0202` for a value that is no number where the format is one of numbers.
    fn text(&self, value: &Dynamic) -> Result<String> {
        if let Some(list) = value.read_lock::<Array>() {
            let each: Vec<String> = list.iter().map(|v| self.text(v)).collect::<Result<_>>()?;
            return Ok(format!("[{}]", each.join(", ")));
        }
        if let Some(t) = value.read_lock::<crate::torch::Tensor>() {
            if t.numel() != 1 {
                let help = "format one number of it, or `x.to_array()`";
                return Err(Error::value("format", format!("a format is for one number, got a tensor of shape {:?}", t.shape())).help(help));
            }
            let number = t.item()?;
            return if t.is_float() { self.number(&number.into()) } else { self.number(&(number as i64).into()) };
        }
        if value.is_int() || value.is_float() {
            return self.number(value);
        }
        let is_number = self.plus || self.zeros || self.group.is_some() || self.kind.is_some_and(|k| k != 's');
        if is_number || (self.precision.is_some() && !value.is_string()) {
            return Err(Error::value("format", format!("this format is for a number, got {}", type_name(value))).help(HELP));
        }
        let text: String = value.to_string().chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        Ok(self.padded(&text, Align::Left))
    }

    fn number(&self, value: &Dynamic) -> Result<String> {
        let whole = value.as_int().ok();
        let x = whole.map_or_else(|| value.as_float().unwrap_or(f64::NAN), |i| i as f64);
        let needs_int = |c: char| Error::value("format", format!("`:{c}` is for an int, got a float")).help("write `x.to_int()`");
        let magnitude = match (self.kind, whole) {
            (Some('s'), _) => return Err(Error::value("format", format!("`:s` is for a string, got {}", type_name(value))).help(HELP)),
            (Some('x'), Some(i)) => format!("{:x}", i.unsigned_abs()),
            (Some('X'), Some(i)) => format!("{:X}", i.unsigned_abs()),
            (Some('b'), Some(i)) => format!("{:b}", i.unsigned_abs()),
            (Some('o'), Some(i)) => format!("{:o}", i.unsigned_abs()),
            (Some(c @ ('d' | 'x' | 'X' | 'b' | 'o')), None) => return Err(needs_int(c)),
            (Some('%'), _) => format!("{:.*}%", self.precision.unwrap_or(0), 100.0 * x.abs()),
            (Some('e' | 'E'), _) if x.is_finite() => {
                let text = self.precision.map_or_else(|| format!("{:e}", x.abs()), |p| format!("{:.p$e}", x.abs()));
                if self.kind == Some('E') { text.to_uppercase() } else { text }
            }
            (Some('g'), _) => crate::progress::digits(x.abs(), self.precision.unwrap_or(4).max(1)),
            (_, Some(i)) if self.precision.is_none() => i.unsigned_abs().to_string(),
            _ => self.precision.map_or_else(|| x.abs().to_string(), |p| format!("{:.p$}", x.abs())),
        };
        let is_negative = whole.map_or(x.is_sign_negative() && !x.is_nan(), |i| i < 0);
        let sign = if is_negative {
            "-"
        } else if self.plus {
            "+"
        } else {
            ""
        };
        let grouped = self.group.map_or_else(|| magnitude.clone(), |mark| grouped(&magnitude, mark));
        if self.zeros && self.align.is_none() {
            let missing = self.width.saturating_sub(sign.len() + grouped.chars().count());
            return Ok(format!("{sign}{}{grouped}", "0".repeat(missing)));
        }
        Ok(self.padded(&format!("{sign}{grouped}"), Align::Right))
    }

    fn padded(&self, text: &str, usual: Align) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        let left = match self.align.unwrap_or(usual) {
            Align::Left => 0,
            Align::Right => missing,
            Align::Middle => missing / 2,
        };
        let fill = |n: usize| self.fill.to_string().repeat(n);
        format!("{}{text}{}", fill(left), fill(missing - left))
    }
}

fn digits(rest: &mut Vec<char>) -> Option<usize> {
    let mut text = String::new();
    while let Some(c) = rest.pop_if(|c| c.is_ascii_digit()) {
        text.push(c);
    }
    text.parse().ok()
}

/// The digits in front of the point in groups of three.
fn grouped(text: &str, mark: char) -> String {
    let whole = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut out = String::new();
    for (i, c) in text[..whole].chars().enumerate() {
        if i > 0 && (whole - i).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(c);
    }
    out + &text[whole..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_numbers() {
        let text = |spec: &str, value: Dynamic| Spec::read(spec).unwrap().text(&value).unwrap();
        let cases: [(&str, Dynamic, &str); 17] = [
            (".3", 3.12567.into(), "3.126"),
            (".3", 2_i64.into(), "2.000"),
            ("8.2", (-3.12567).into(), "   -3.13"),
            ("08.2", (-3.12567).into(), "-0003.13"),
            ("e", 0.00015.into(), "1.5e-4"),
            (".2e", 12345_i64.into(), "1.23e4"),
            (",", 1234567_i64.into(), "1,234,567"),
            (",.2", 1234567.891.into(), "1,234,567.89"),
            ("_", 1000_i64.into(), "1_000"),
            ("+.1", 1.25.into(), "+1.2"),
            (".1%", 0.1234.into(), "12.3%"),
            (".4g", 123456.0.into(), "1.235e5"),
            (".4g", 0.5.into(), "0.5"),
            ("x", 255_i64.into(), "ff"),
            ("<6", 12_i64.into(), "12    "),
            ("*^7", "ab".into(), "**ab***"),
            (".2", vec![Dynamic::from(0.123), 1.0.into()].into(), "[0.12, 1.00]"),
        ];
        for (spec, value, want) in cases {
            assert_eq!(text(spec, value), want, "{spec}");
        }
    }

    #[test]
    fn what_is_no_format_is_told() {
        for wrong in ["", "q", ".", "3.x", ".3d", "999999.2", ".99999"] {
            assert!(Spec::read(wrong).is_err(), "{wrong}");
        }
        let e = Spec::read(".3").unwrap().text(&true.into()).unwrap_err();
        assert!(e.to_string().contains("is for a number, got bool"), "{e}");
    }
}
