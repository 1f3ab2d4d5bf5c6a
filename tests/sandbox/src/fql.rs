//! The filter language of Falcon's alerts, parsed for real and refused when it is not exactly right.
//!
//! ```text
//! product:'epp'+created_timestamp:>='2026-11-21T00:15:00Z'+(severity:>=60,confidence:>=80)
//! ```
//! `+` is AND and binds tighter than `,`, which is OR. Text and dates stand in single quotes
//! (`\'` is a quote inside them), numbers stand bare, a list in brackets is any-of.
//! No blanks outside quotes, no wildcards, no negation: the tool under test has no need of them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::time::parse_rfc3339;

/// Parentheses deeper than this are refused, so that a hostile filter cannot exhaust the stack.
const MAX_DEPTH: usize = 32;

/// A field that a filter may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `product`
    Product,
    /// `type`
    Type,
    /// `composite_id`
    CompositeId,
    /// `created_timestamp`
    Created,
    /// `timestamp`
    Timestamp,
    /// `updated_timestamp`
    Updated,
    /// `severity`
    Severity,
    /// `confidence`
    Confidence,
}

impl Field {
    /// The field of that name, as the service spells it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "product" => Self::Product,
            "type" => Self::Type,
            "composite_id" => Self::CompositeId,
            "created_timestamp" => Self::Created,
            "timestamp" => Self::Timestamp,
            "updated_timestamp" => Self::Updated,
            "severity" => Self::Severity,
            "confidence" => Self::Confidence,
            _ => return None,
        })
    }
}

/// A value, of an alert or of a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal<'a> {
    /// Compared byte by byte.
    Text(Cow<'a, str>),
    /// Compared to the nanosecond.
    Date(DateTime<Utc>),
    /// Whole or not.
    Number(f64),
}

/// What gives the values that a filter is held against; `None` for a field that is not there.
pub trait Fields {
    /// The value of that field.
    fn field(&self, field: Field) -> Option<Literal<'_>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Is,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Expr);

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Test { field: Field, op: Op, values: Vec<Literal<'static>> },
}

impl Filter {
    /// Parses a whole filter, or says what is wrong with it and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0 };
        let expr = parser.any(0)?;
        if parser.at != text.len() {
            return Err(parser.wrong("nothing more"));
        }
        Ok(Self(expr))
    }

    /// Whether an alert matches. An alert without the field never does.
    /// With `loose`, `>` on dates also takes the instant itself, as has been seen in the wild.
    pub fn matches(&self, alert: &impl Fields, loose: bool) -> bool {
        self.0.matches(alert, loose)
    }
}

impl Expr {
    fn matches(&self, alert: &impl Fields, loose: bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(alert, loose)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(alert, loose)),
            Self::Test { field, op, values } => alert
                .field(*field)
                .is_some_and(|have| values.iter().any(|want| op.holds(&have, want, loose))),
        }
    }
}

impl Op {
    fn holds(self, have: &Literal<'_>, want: &Literal<'_>, loose: bool) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (have, want) {
            (Literal::Text(have), Literal::Text(want)) => Some(have.as_ref().cmp(want.as_ref())),
            (Literal::Date(have), Literal::Date(want)) => Some(have.cmp(want)),
            (Literal::Number(have), Literal::Number(want)) => have.partial_cmp(want),
            _ => None,
        };
        let loose = loose && matches!(have, Literal::Date(_));
        match self {
            Self::Is => order == Some(Equal),
            Self::Above if loose => matches!(order, Some(Equal | Greater)),
            Self::Above => order == Some(Greater),
            Self::AtLeast => matches!(order, Some(Equal | Greater)),
            Self::Below => order == Some(Less),
            Self::AtMost => matches!(order, Some(Equal | Less)),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn wrong(&self, wanted: &str) -> String {
        format!("at character {}: expected {wanted}, found {:?}", self.at, self.rest())
    }

    fn eat(&mut self, token: &str) -> bool {
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest().chars().take_while(|c| wanted(*c)).collect();
        self.at += taken.len();
        taken
    }

    fn any(&mut self, depth: usize) -> Result<Expr, String> {
        let mut parts = vec![self.all(depth)?];
        while self.eat(",") {
            parts.push(self.all(depth)?);
        }
        Ok(Expr::Any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Expr, String> {
        let mut parts = vec![self.part(depth)?];
        while self.eat("+") {
            parts.push(self.part(depth)?);
        }
        Ok(Expr::All(parts))
    }

    fn part(&mut self, depth: usize) -> Result<Expr, String> {
        if depth > MAX_DEPTH {
            return Err("too many parentheses".into());
        }
        if !self.eat("(") {
            return self.test();
        }
        let inner = self.any(depth + 1)?;
        if self.eat(")") { Ok(inner) } else { Err(self.wrong("`)`")) }
    }

    fn test(&mut self) -> Result<Expr, String> {
        let name = self.take_while(|c| c.is_ascii_lowercase() || c == '_');
        let field = Field::named(&name).ok_or_else(|| format!("{name:?} is no known field"))?;
        if !self.eat(":") {
            return Err(self.wrong("`:`"));
        }
        let op = self.op();
        let is_text = matches!(field, Field::Product | Field::Type | Field::CompositeId);
        if op != Op::Is && is_text {
            return Err(format!("{name} is text and has no range"));
        }
        let values = if op == Op::Is && self.eat("[") {
            self.list(field)?
        } else {
            vec![self.value(field)?]
        };
        Ok(Expr::Test { field, op, values })
    }

    fn op(&mut self) -> Op {
        // Longest first: `>=` begins with `>`.
        for (token, op) in
            [(">=", Op::AtLeast), ("<=", Op::AtMost), (">", Op::Above), ("<", Op::Below)]
        {
            if self.eat(token) {
                return op;
            }
        }
        Op::Is
    }

    fn list(&mut self, field: Field) -> Result<Vec<Literal<'static>>, String> {
        let mut values = vec![self.value(field)?];
        while self.eat(",") {
            values.push(self.value(field)?);
        }
        if self.eat("]") { Ok(values) } else { Err(self.wrong("`]`")) }
    }

    fn value(&mut self, field: Field) -> Result<Literal<'static>, String> {
        match field {
            Field::Product | Field::Type | Field::CompositeId => {
                Ok(Literal::Text(self.quoted()?.into()))
            }
            Field::Created | Field::Timestamp | Field::Updated => {
                let text = self.quoted()?;
                let date = parse_rfc3339(&text)
                    .ok_or_else(|| format!("{text:?} is no RFC 3339 instant with a zone"))?;
                Ok(Literal::Date(date))
            }
            Field::Severity | Field::Confidence => self.number().map(Literal::Number),
        }
    }

    fn number(&mut self) -> Result<f64, String> {
        let begin = self.wrong("a bare number");
        let text = self.take_while(|c| c.is_ascii_digit() || c == '.' || c == '-');
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let whole = digits.split('.').all(|part| !part.is_empty()) && !digits.contains('-');
        text.parse().ok().filter(|_| whole).ok_or(begin)
    }

    fn quoted(&mut self) -> Result<String, String> {
        if !self.eat("'") {
            return Err(self.wrong("a value in single quotes"));
        }
        let mut value = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' if value.is_empty() => return Err("an empty value".into()),
                '\'' => {
                    self.at += at + 1;
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('\'' | '\\'))) => value.push(escaped),
                    _ => return Err("a backslash that escapes nothing".into()),
                },
                c => value.push(c),
            }
        }
        Err("a quote that is never closed".into())
    }
}
