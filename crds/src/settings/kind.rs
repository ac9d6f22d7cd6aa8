//! What values a setting takes. Texts are read as Kafka's `ConfigDef` reads them.

/// The values of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Bool,
    /// 16 bits.
    Short(Range),
    /// 32 bits.
    Int(Range),
    /// 64 bits.
    Long(Range),
    /// A number with a fraction, from the first to the second.
    Double(f64, f64),
    /// Any text.
    String,
    /// One of these.
    Enum(&'static [&'static str]),
    /// Texts with commas between them; each one of these, if there are any here, and none twice.
    List(&'static [&'static str]),
    /// Nothing, `*`, or `partition:broker` with commas between them.
    ThrottledReplicas,
    /// A Java class; there is no Java here, so only nothing.
    Class,
}

/// Whole numbers that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub min: i64,
    /// The greatest.
    pub max: i64,
    /// One between them that is not taken.
    pub except: Option<i64>,
}

impl Range {
    /// All from `min` to `max`.
    #[must_use]
    pub const fn new(min: i64, max: i64) -> Self {
        Self { min, max, except: None }
    }

    fn contains(&self, number: i64) -> bool {
        number >= self.min && number <= self.max && self.except != Some(number)
    }

    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        let range = match (self.min, self.max) {
            (i64::MIN, i64::MAX) => "any whole number".to_owned(),
            (min, i64::MAX) => format!("at least {min}"),
            (min, max) if max == i64::from(i32::MAX) || max == i64::from(i16::MAX) => {
                format!("at least {min}, at most {max}")
            }
            (min, max) => format!("{min} to {max}"),
        };
        match self.except {
            Some(hole) => format!("{range}, not {hole}"),
            None => range,
        }
    }
}

/// A whole number as Kafka reads it: trimmed, a sign allowed.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        yes if yes.eq_ignore_ascii_case("true") => Some(true),
        no if no.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn double(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The items of a list; an empty text has none.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    text.split(',').map(str::trim).filter(move |_| !text.is_empty())
}

impl Kind {
    /// Kafka's name of the type, as its messages and documentation have it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool => "BOOLEAN",
            Self::Short(_) => "SHORT",
            Self::Int(_) => "INT",
            Self::Long(_) => "LONG",
            Self::Double(..) => "DOUBLE",
            Self::String | Self::Enum(_) => "STRING",
            Self::List(_) | Self::ThrottledReplicas => "LIST",
            Self::Class => "CLASS",
        }
    }

    /// The type in a DescribeConfigs response (`configType`, KIP-569).
    #[must_use]
    pub fn config_type(&self) -> i8 {
        match self {
            Self::Bool => 1,
            Self::String | Self::Enum(_) => 2,
            Self::Int(_) => 3,
            Self::Short(_) => 4,
            Self::Long(_) => 5,
            Self::Double(..) => 6,
            Self::List(_) | Self::ThrottledReplicas => 7,
            Self::Class => 8,
        }
    }

    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Short(range) | Self::Int(range) | Self::Long(range) => range.describe(),
            Self::Double(min, max) if *max >= f64::MAX => format!("at least {min}"),
            Self::Double(min, max) => format!("{min} to {max}"),
            Self::String | Self::List([]) => "any text".to_owned(),
            Self::Enum(values) => values.join(", "),
            Self::List(values) => format!("any of {}, with commas between them", values.join(", ")),
            Self::ThrottledReplicas => "empty, * or partition:broker with commas between them".to_owned(),
            Self::Class => "empty: there are no Java classes here".to_owned(),
        }
    }

    /// Whether `value` is one of the kind; else what is wrong, and what is allowed.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let allowed = || format!("allowed: {}", self.allowed());
        let no_number = || format!("Not a number of type {}; {}", self.type_name(), allowed());
        match self {
            Self::Short(range) | Self::Int(range) | Self::Long(range) => match integer(value) {
                None => Err(no_number()),
                Some(number) if range.contains(number) => Ok(()),
                Some(number) if number < range.min => {
                    Err(format!("Value must be at least {}; {}", range.min, allowed()))
                }
                Some(_) => Err(allowed()),
            },
            Self::Double(min, max) => match double(value) {
                None => Err(no_number()),
                Some(number) if number >= *min && number <= *max => Ok(()),
                Some(_) => Err(allowed()),
            },
            Self::Bool if boolean(value).is_none() => {
                Err("Expected value to be either true or false".to_owned())
            }
            Self::Enum(values) if !values.contains(&value.trim()) => {
                Err(format!("String must be one of: {}", values.join(", ")))
            }
            Self::List(values) => check_list(values, value).map_err(|why| format!("{why}; {}", allowed())),
            Self::ThrottledReplicas if !throttled_replicas(value) => Err(allowed()),
            Self::Class if !value.trim().is_empty() => Err(allowed()),
            _ => Ok(()),
        }
    }

    /// The text of a value that was checked, as the schema of the custom resources takes it and Kafka shows it: without
    /// blanks around it, numbers and booleans in their plain form.
    #[must_use]
    pub fn canonical(&self, value: &str) -> String {
        let plain = match self {
            Self::Bool => boolean(value).map(|value| value.to_string()),
            Self::Short(_) | Self::Int(_) | Self::Long(_) => integer(value).map(|value| value.to_string()),
            Self::List(_) | Self::ThrottledReplicas => Some(list(value).collect::<Vec<_>>().join(",")),
            Self::Double(..) | Self::String | Self::Enum(_) | Self::Class => None,
        };
        plain.unwrap_or_else(|| value.trim().to_owned())
    }

    /// Whether two texts are one value: `TRUE` and `true`, `07` and `7`.
    #[must_use]
    pub fn same(&self, a: &str, b: &str) -> bool {
        match self {
            Self::Bool => boolean(a) == boolean(b),
            Self::Short(_) | Self::Int(_) | Self::Long(_) => integer(a) == integer(b),
            Self::Double(..) => double(a) == double(b),
            Self::List(_) | Self::ThrottledReplicas => list(a).eq(list(b)),
            Self::String | Self::Enum(_) | Self::Class => a.trim() == b.trim(),
        }
    }
}

fn check_list(values: &[&str], text: &str) -> Result<(), String> {
    let mut seen = Vec::new();
    for item in list(text) {
        if item.is_empty() {
            return Err("An item is empty".to_owned());
        }
        if !values.is_empty() && !values.contains(&item) {
            return Err(format!("{item} is not known"));
        }
        if seen.contains(&item) {
            return Err(format!("{item} is there twice"));
        }
        seen.push(item);
    }
    Ok(())
}

fn throttled_replicas(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |item: &str| item.split_once(':').is_some_and(|(p, b)| digits(p) && digits(b));
    text.trim() == "*" || list(text).all(pair)
}
