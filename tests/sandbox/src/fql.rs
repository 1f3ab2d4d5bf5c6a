//! The filter language of Falcon's alerts (FQL). A filter that is not exactly right is rejected.
//!
//! ```text
//! product:'epp'+created_timestamp:>='2026-11-21T00:15:00Z'+(severity:>=60,confidence:>=80)
//! ```
//! `+` is AND and binds tighter than `,`, which is OR. Text and dates are in single quotes (`\'`
//! escapes a quote), numbers are not quoted, and a list in brackets matches any of its values.
//! Spaces outside quotes, wildcards and negation are rejected: the program does not use
//! them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::time::parse_rfc3339;

/// Parentheses deeper than this are rejected, so that a filter cannot exhaust the stack.
const MAX_DEPTH: usize = 32;

/// A field that a filter can name.
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
    /// Returns the field with this name, as the service spells it.
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

/// A value of an alert or of a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal<'a> {
    /// Text, compared by bytes.
    Text(Cow<'a, str>),
    /// An instant, compared with nanosecond precision.
    Date(DateTime<Utc>),
    /// An integer or a decimal number.
    Number(f64),
}

/// The values that a filter is applied to.
pub trait Fields {
    /// Returns the value of a field; `None` if it is absent.
    fn field(&self, field: Field) -> Option<Literal<'_>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Expr);

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Compare { field: Field, op: Op, values: Vec<Literal<'static>> },
}

impl Filter {
    /// Parses a filter. The error describes what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, position: 0 };
        let expr = parser.any(0)?;
        if parser.position != text.len() {
            return Err(parser.expected("the end"));
        }
        Ok(Self(expr))
    }

    /// Reports whether an alert matches. An alert without the field never does.
    /// With `gt_includes_equal`, `>` on dates acts as `>=`, as was observed on the real service.
    pub fn matches(&self, alert: &impl Fields, gt_includes_equal: bool) -> bool {
        self.0.matches(alert, gt_includes_equal)
    }

    /// Returns instants between which the `created_timestamp` of every match lies, both inclusive;
    /// `None` means unlimited. Not everything between them matches: it only narrows a search.
    pub(crate) fn created_between(&self) -> Interval {
        self.0.created_between()
    }
}

/// An interval that includes both ends; `None` means unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) first: Option<DateTime<Utc>>,
    pub(crate) last: Option<DateTime<Utc>>,
}

impl Interval {
    fn intersection(self, other: Self) -> Self {
        // `None` is less than every instant.
        let first = self.first.max(other.first);
        let last = match (self.last, other.last) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { first, last }
    }

    /// Returns the smallest interval that contains both.
    fn hull(self, other: Self) -> Self {
        let first = self.first.min(other.first);
        let last = self.last.zip(other.last).map(|(a, b)| a.max(b));
        Self { first, last }
    }
}

impl Expr {
    fn matches(&self, alert: &impl Fields, gt_includes_equal: bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(alert, gt_includes_equal)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(alert, gt_includes_equal)),
            Self::Compare { field, op, values } => alert.field(*field).is_some_and(|actual| {
                values.iter().any(|expected| op.holds(&actual, expected, gt_includes_equal))
            }),
        }
    }

    fn created_between(&self) -> Interval {
        let interval = |op: Op, value: &Literal<'_>| match (op, value) {
            (Op::Equal, Literal::Date(at)) => Interval { first: Some(*at), last: Some(*at) },
            (Op::Greater | Op::GreaterOrEqual, Literal::Date(at)) => {
                Interval { first: Some(*at), last: None }
            }
            (Op::Less | Op::LessOrEqual, Literal::Date(at)) => {
                Interval { first: None, last: Some(*at) }
            }
            _ => Interval::default(),
        };
        let intervals: Vec<Interval> = match self {
            Self::All(parts) => {
                let parts = parts.iter().map(Self::created_between);
                return parts.fold(Interval::default(), Interval::intersection);
            }
            Self::Any(parts) => parts.iter().map(Self::created_between).collect(),
            Self::Compare { field: Field::Created, op, values } => {
                values.iter().map(|value| interval(*op, value)).collect()
            }
            Self::Compare { .. } => Vec::new(),
        };
        intervals.into_iter().reduce(Interval::hull).unwrap_or_default()
    }
}

impl Op {
    fn holds(self, actual: &Literal<'_>, expected: &Literal<'_>, gt_includes_equal: bool) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (actual, expected) {
            (Literal::Text(actual), Literal::Text(expected)) => {
                Some(actual.as_ref().cmp(expected.as_ref()))
            }
            (Literal::Date(actual), Literal::Date(expected)) => Some(actual.cmp(expected)),
            (Literal::Number(actual), Literal::Number(expected)) => actual.partial_cmp(expected),
            _ => None,
        };
        let gt_includes_equal = gt_includes_equal && matches!(actual, Literal::Date(_));
        match self {
            Self::Equal => order == Some(Equal),
            Self::Greater if gt_includes_equal => matches!(order, Some(Equal | Greater)),
            Self::Greater => order == Some(Greater),
            Self::GreaterOrEqual => matches!(order, Some(Equal | Greater)),
            Self::Less => order == Some(Less),
            Self::LessOrEqual => matches!(order, Some(Equal | Less)),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The number of bytes that were parsed.
    position: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    fn expected(&self, expected: &str) -> String {
        format!("at byte {}: expected {expected}, found {:?}", self.position, self.rest())
    }

    /// Consumes a token if it comes next.
    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.position += token.len();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest().chars().take_while(|c| wanted(*c)).collect();
        self.position += taken.len();
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
            return self.comparison();
        }
        let expr = self.any(depth + 1)?;
        if self.eat(")") { Ok(expr) } else { Err(self.expected("`)`")) }
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        let name = self.take_while(|c| c.is_ascii_lowercase() || c == '_');
        let field = Field::named(&name).ok_or_else(|| format!("unknown field {name:?}"))?;
        if !self.eat(":") {
            return Err(self.expected("`:`"));
        }
        let op = self.op();
        let is_text = matches!(field, Field::Product | Field::Type | Field::CompositeId);
        if op != Op::Equal && is_text {
            return Err(format!("{name} is text and supports equality only"));
        }
        let values = if op == Op::Equal && self.eat("[") {
            self.list(field)?
        } else {
            vec![self.value(field)?]
        };
        Ok(Expr::Compare { field, op, values })
    }

    fn op(&mut self) -> Op {
        // Longest first: `>=` begins with `>`.
        let operators = [
            (">=", Op::GreaterOrEqual),
            ("<=", Op::LessOrEqual),
            (">", Op::Greater),
            ("<", Op::Less),
        ];
        for (token, op) in operators {
            if self.eat(token) {
                return op;
            }
        }
        Op::Equal
    }

    fn list(&mut self, field: Field) -> Result<Vec<Literal<'static>>, String> {
        let mut values = vec![self.value(field)?];
        while self.eat(",") {
            values.push(self.value(field)?);
        }
        if self.eat("]") { Ok(values) } else { Err(self.expected("`]`")) }
    }

    fn value(&mut self, field: Field) -> Result<Literal<'static>, String> {
        match field {
            Field::Product | Field::Type | Field::CompositeId => {
                Ok(Literal::Text(self.quoted()?.into()))
            }
            Field::Created | Field::Timestamp | Field::Updated => {
                let text = self.quoted()?;
                let date = parse_rfc3339(&text)
                    .ok_or_else(|| format!("{text:?} is not an RFC 3339 instant with a zone"))?;
                Ok(Literal::Date(date))
            }
            Field::Severity | Field::Confidence => self.number().map(Literal::Number),
        }
    }

    fn number(&mut self) -> Result<f64, String> {
        let error = self.expected("an unquoted number");
        let text = self.take_while(|c| c.is_ascii_digit() || c == '.' || c == '-');
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let whole = digits.split('.').all(|part| !part.is_empty()) && !digits.contains('-');
        text.parse().ok().filter(|_| whole).ok_or(error)
    }

    fn quoted(&mut self) -> Result<String, String> {
        if !self.eat("'") {
            return Err(self.expected("a value in single quotes"));
        }
        let mut value = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' if value.is_empty() => return Err("empty value".into()),
                '\'' => {
                    self.position += at + 1;
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('\'' | '\\'))) => value.push(escaped),
                    _ => return Err("invalid escape after a backslash".into()),
                },
                c => value.push(c),
            }
        }
        Err("missing closing quote".into())
    }
}
