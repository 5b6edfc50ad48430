//! Arrays, element by element, from both forms.
//!
//! Owns: the binary array header, the text's braces, quotes and escapes, and the JSON text of an array of any
//! dimensions. Lower bounds are not kept: an array is the list of its elements.
//! Never decodes an element by itself; that is [`super::types::scalar`].

use super::{
    error::CellFault,
    types::{
        DecodeCounts, Scalar,
        scalar::{Fit, Raw},
    },
};

const MALFORMED: CellFault = CellFault::Malformed("an array");
/// PostgreSQL's own limit.
const DIMENSIONS_MAX: u32 = 6;

/// What a walk over an array meets, in order.
pub(crate) enum Item<'a> {
    /// A dimension begins.
    Open,
    /// A dimension ends.
    Close,
    /// An element; `None` is NULL.
    Element(Option<Raw<'a>>),
}

/// How an element type's arrays are written in text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    delimiter: u8,
}

impl Style {
    /// Semicolons separate boxes, commas everything else.
    pub(crate) fn of(element_oid: u32) -> Self {
        Self { delimiter: if element_oid == postgres_types::Type::BOX.oid() { b';' } else { b',' } }
    }
}

/// The number of dimensions: 0 for an empty array.
pub(crate) fn dimensions(raw: Raw<'_>) -> Result<u32, CellFault> {
    match raw {
        Raw::Binary(bytes) => {
            let (count, _) = bytes.split_first_chunk::<4>().ok_or(MALFORMED)?;
            Ok(u32::from_be_bytes(*count))
        }
        Raw::Text(text) => {
            let body = without_bounds(text)?;
            let depth = body.iter().take_while(|&&byte| byte == b'{').count();
            match (depth, body) {
                (0, _) => Err(MALFORMED),
                (1, b"{}") => Ok(0),
                (depth, _) => u32::try_from(depth).map_err(|_| MALFORMED),
            }
        }
    }
}

/// Walks an array, calling `visit` for every dimension and element. `scratch` holds one unescaped element.
pub(crate) fn walk(
    raw: Raw<'_>,
    style: Style,
    scratch: &mut Vec<u8>,
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), CellFault>,
) -> Result<(), CellFault> {
    match raw {
        Raw::Binary(bytes) => walk_binary(bytes, visit),
        Raw::Text(text) => walk_text(without_bounds(text)?, style.delimiter, scratch, visit),
    }
}

fn walk_binary(bytes: &[u8], visit: &mut dyn FnMut(Item<'_>) -> Result<(), CellFault>) -> Result<(), CellFault> {
    let (header, mut rest) = bytes.split_first_chunk::<12>().ok_or(MALFORMED)?;
    let [c0, c1, c2, c3, ..] = *header;
    let count = u32::from_be_bytes([c0, c1, c2, c3]);
    if count > DIMENSIONS_MAX {
        return Err(MALFORMED);
    }
    let mut lengths = [0_u32; 6];
    for length in lengths.iter_mut().zip(0..count).map(|(length, _)| length) {
        let (dimension, tail) = rest.split_first_chunk::<8>().ok_or(MALFORMED)?;
        let [l0, l1, l2, l3, ..] = *dimension;
        // An empty array has no dimensions; a dimension without elements would let a few bytes open billions.
        *length = match u32::from_be_bytes([l0, l1, l2, l3]) {
            0 => return Err(MALFORMED),
            elements => elements,
        };
        rest = tail;
    }
    let lengths = lengths.get(..usize::try_from(count).unwrap_or(0)).unwrap_or_default();
    if lengths.is_empty() {
        visit(Item::Open)?;
        visit(Item::Close)?;
    } else {
        walk_dimension(lengths, &mut rest, visit)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(MALFORMED) }
}

fn walk_dimension(
    lengths: &[u32],
    rest: &mut &[u8],
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), CellFault>,
) -> Result<(), CellFault> {
    let (&length, inner) = lengths.split_first().ok_or(MALFORMED)?;
    visit(Item::Open)?;
    for _ in 0..length {
        if inner.is_empty() {
            visit(Item::Element(binary_element(rest)?))?;
        } else {
            walk_dimension(inner, rest, visit)?;
        }
    }
    visit(Item::Close)
}

fn binary_element<'a>(rest: &mut &'a [u8]) -> Result<Option<Raw<'a>>, CellFault> {
    let (length, tail) = rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
    let length = i32::from_be_bytes(*length);
    if length == -1 {
        *rest = tail;
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| MALFORMED)?;
    let (value, tail) = tail.split_at_checked(length).ok_or(MALFORMED)?;
    *rest = tail;
    Ok(Some(Raw::Binary(value)))
}

/// Drops `[1:3][0:1]=` before the braces.
fn without_bounds(text: &[u8]) -> Result<&[u8], CellFault> {
    if text.first() != Some(&b'[') {
        return Ok(text);
    }
    let equals = text.iter().position(|&byte| byte == b'=').ok_or(MALFORMED)?;
    text.get(equals + 1..).ok_or(MALFORMED)
}

fn walk_text(
    text: &[u8],
    delimiter: u8,
    scratch: &mut Vec<u8>,
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), CellFault>,
) -> Result<(), CellFault> {
    let mut rest = text;
    let mut depth = 0_u32;
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'{' => {
                depth += 1;
                if depth > DIMENSIONS_MAX {
                    return Err(MALFORMED);
                }
                visit(Item::Open)?;
                rest = tail;
            }
            b'}' => {
                depth = depth.checked_sub(1).ok_or(MALFORMED)?;
                visit(Item::Close)?;
                rest = tail;
                if depth == 0 && !rest.is_empty() {
                    return Err(MALFORMED);
                }
            }
            _ if depth == 0 => return Err(MALFORMED),
            byte if byte == delimiter => rest = tail,
            b'"' => rest = quoted_element(tail, scratch, visit)?,
            _ => rest = bare_element(rest, delimiter, scratch, visit)?,
        }
    }
    if depth == 0 && !text.is_empty() { Ok(()) } else { Err(MALFORMED) }
}

/// Reads to the closing quote; a backslash takes the next byte as it is.
fn quoted_element<'t>(
    text: &'t [u8],
    scratch: &mut Vec<u8>,
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), CellFault>,
) -> Result<&'t [u8], CellFault> {
    scratch.clear();
    let mut bytes = text.iter();
    loop {
        match bytes.next() {
            Some(b'"') => break,
            Some(b'\\') => scratch.push(*bytes.next().ok_or(MALFORMED)?),
            Some(&byte) => scratch.push(byte),
            None => return Err(MALFORMED),
        }
    }
    visit(Item::Element(Some(Raw::Text(scratch))))?;
    Ok(bytes.as_slice())
}

/// Reads to the next delimiter or brace; the bare word NULL is NULL.
fn bare_element<'t>(
    text: &'t [u8],
    delimiter: u8,
    scratch: &mut Vec<u8>,
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), CellFault>,
) -> Result<&'t [u8], CellFault> {
    let length = text.iter().position(|&byte| byte == delimiter || byte == b'}').ok_or(MALFORMED)?;
    let (word, rest) = text.split_at_checked(length).ok_or(MALFORMED)?;
    if word.eq_ignore_ascii_case(b"null") {
        visit(Item::Element(None))?;
    } else if word.contains(&b'\\') {
        scratch.clear();
        let mut bytes = word.iter();
        while let Some(&byte) = bytes.next() {
            scratch.push(if byte == b'\\' { *bytes.next().ok_or(MALFORMED)? } else { byte });
        }
        visit(Item::Element(Some(Raw::Text(scratch))))?;
    } else {
        visit(Item::Element(Some(Raw::Text(word))))?;
    }
    Ok(rest)
}

/// Writes an array of any dimensions as JSON text: numbers and booleans as such, JSON as it is, the rest as strings.
pub(crate) fn write_json(
    scalar: Scalar,
    style: Style,
    raw: Raw<'_>,
    out: &mut String,
    counts: &mut DecodeCounts,
) -> Result<(), CellFault> {
    let mut unescaped = Vec::new();
    let mut text = String::new();
    walk(raw, style, &mut unescaped, &mut |item| {
        let separated = out.is_empty() || out.ends_with('[');
        match item {
            Item::Close => out.push(']'),
            Item::Open => out.push_str(if separated { "[" } else { ",[" }),
            Item::Element(element) => {
                if !separated {
                    out.push(',');
                }
                match element {
                    None => out.push_str("null"),
                    Some(raw) => write_json_element(scalar, raw, &mut text, out, counts)?,
                }
            }
        }
        Ok(())
    })
}

fn write_json_element(
    scalar: Scalar,
    raw: Raw<'_>,
    text: &mut String,
    out: &mut String,
    counts: &mut DecodeCounts,
) -> Result<(), CellFault> {
    text.clear();
    let (fit, bare) = json_text(scalar, raw, text)?;
    if !counts.note(fit) {
        out.push_str("null");
    } else if bare {
        out.push_str(text);
    } else {
        out.push_str(&serde_json::Value::from(text.as_str()).to_string());
    }
    Ok(())
}

/// Writes one element's text; the flag says whether it stands bare in JSON.
fn json_text(scalar: Scalar, raw: Raw<'_>, text: &mut String) -> Result<(Fit<()>, bool), CellFault> {
    use super::types::{number, time};
    let mut fit = Fit::Value(());
    let mut bare = true;
    match scalar {
        Scalar::Bool => text.push_str(if Scalar::boolean(raw)? { "true" } else { "false" }),
        Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Oid => {
            number::write_display(scalar.integer(raw)?, text);
        }
        Scalar::Float4 | Scalar::Float8 => {
            let value = scalar.float(raw)?;
            bare = value.is_finite();
            number::write_float(value, text);
        }
        Scalar::Decimal { .. } | Scalar::BigNumeric => fit = number::write_bignumeric(raw, text)?,
        Scalar::Json | Scalar::Jsonb => fit = scalar.write_text(raw, text)?,
        Scalar::Date => {
            bare = false;
            fit = Scalar::date(raw)?.map(|days| time::write_date(days, text));
        }
        Scalar::Timestamp | Scalar::TimestampTz => {
            bare = false;
            let zone = if scalar == Scalar::TimestampTz { "Z" } else { "" };
            fit = Scalar::timestamp(raw)?.map(|micros| time::write_timestamp(micros, zone, text));
        }
        Scalar::Bytea => {
            bare = false;
            let mut bytes = Vec::new();
            super::cells::bytea(raw, &mut bytes)?;
            for byte in bytes {
                super::types::network::write_hex(byte, text);
            }
        }
        _ => {
            bare = false;
            fit = scalar.write_text(raw, text)?;
        }
    }
    Ok((fit, bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(scalar: Scalar, text: &str) -> Result<String, CellFault> {
        let mut out = String::new();
        write_json(scalar, Style::of(0), Raw::Text(text.as_bytes()), &mut out, &mut DecodeCounts::default())?;
        Ok(out)
    }

    #[test]
    fn arrays_of_any_dimensions_become_json() {
        for (scalar, text, expected) in [
            (Scalar::Int4, "{}", "[]"),
            (Scalar::Int4, "{{1,2},{3,NULL}}", "[[1,2],[3,null]]"),
            (Scalar::Int4, "[0:1]={5,6}", "[5,6]"),
            (Scalar::Text, r#"{{a,"b,\"c\\"},{"NULL",""}}"#, r#"[["a","b,\"c\\"],["NULL",""]]"#),
            (Scalar::Bool, "{t,f}", "[true,false]"),
            (Scalar::Float8, "{1.5,NaN}", r#"[1.5,"NaN"]"#),
            (Scalar::Date, "{2024-01-02,infinity}", r#"["2024-01-02",null]"#),
            (Scalar::Jsonb, r#"{"{\"a\": 1}"}"#, r#"[{"a": 1}]"#),
        ] {
            assert_eq!(json(scalar, text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn dimensions_are_counted_before_elements_are_read() {
        for (text, expected) in [("{}", 0), ("{1}", 1), ("{{1},{2}}", 2), ("[2:2]={1}", 1)] {
            assert_eq!(dimensions(Raw::Text(text.as_bytes())), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_arrays_are_errors() {
        for text in ["", "1", "{", "{1", "}", "{\"a}", "{1}x", "{1}}", "[1:2]"] {
            assert!(json(Scalar::Int4, text).is_err(), "{text}");
        }
        let huge = [0_u32, 0, 23].map(u32::to_be_bytes).concat();
        assert_eq!(dimensions(Raw::Binary(&huge)), Ok(0));
        let endless =
            [[1_u32, 0, 23].map(u32::to_be_bytes).concat(), [u32::MAX, 1].map(u32::to_be_bytes).concat()].concat();
        assert!(walk(Raw::Binary(&endless), Style::of(0), &mut Vec::new(), &mut |_| Ok(())).is_err());
    }
}
