//! Just enough CBOR (RFC 8949) to read what was decided and sent, written anew: the oracle does not trust the codec of
//! those whom it judges.

/// Deepest nesting that is read.
const MAX_DEPTH: u8 = 16;

/// An item and the bytes that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item<'a> {
    pub(super) raw: &'a [u8],
    kind: Kind<'a>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Item<'a>>),
    Map(Vec<(Item<'a>, Item<'a>)>),
    Other,
}

impl<'a> Item<'a> {
    /// The one item that `bytes` are.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (item, rest) = read(bytes, MAX_DEPTH)?;
        rest.is_empty().then_some(item)
    }

    /// A field of a structure.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }

    /// The name of a variant, and what it carries, if anything.
    pub(super) fn variant(&self) -> Option<(&'a str, Option<&Self>)> {
        match &self.kind {
            Kind::Text(name) => Some((name, None)),
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] => Some((key.text()?, Some(value))),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self.kind {
            Kind::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self.kind {
            Kind::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Bytes of a known number.
    pub(super) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes()?.try_into().ok()
    }

    /// The elements of a list.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::Array(items) => items,
            _ => &[],
        }
    }
}

fn read(bytes: &[u8], depth: u8) -> Option<(Item<'_>, &[u8])> {
    let depth = depth.checked_sub(1)?;
    let (&first, mut rest) = bytes.split_first()?;
    let argument = match first & 0x1f {
        small @ 0..=23 => u64::from(small),
        length @ 24..=27 => {
            let (number, after) = rest.split_at_checked(1 << (length - 24))?;
            rest = after;
            number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        }
        _ => return None,
    };
    let length = usize::try_from(argument).ok()?;
    let kind = match first >> 5 {
        0 => Kind::Number(argument),
        2 | 3 => {
            let (content, after) = rest.split_at_checked(length)?;
            rest = after;
            if first >> 5 == 2 {
                Kind::Bytes(content)
            } else {
                Kind::Text(std::str::from_utf8(content).ok()?)
            }
        }
        4 => {
            let mut items = Vec::new();
            for _ in 0..length {
                let (item, after) = read(rest, depth)?;
                items.push(item);
                rest = after;
            }
            Kind::Array(items)
        }
        5 => {
            let mut entries = Vec::new();
            for _ in 0..length {
                let (key, after) = read(rest, depth)?;
                let (value, after) = read(after, depth)?;
                entries.push((key, value));
                rest = after;
            }
            Kind::Map(entries)
        }
        7 => Kind::Other,
        _ => return None,
    };
    Some((Item { raw: &bytes[..bytes.len() - rest.len()], kind }, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Examples of RFC 8949, appendix A.
    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(Item::read(&[0x19, 0x03, 0xe8]).unwrap().number(), Some(1000));
        assert_eq!(Item::read(&[0x44, 1, 2, 3, 4]).unwrap().bytes(), Some(&[1, 2, 3, 4][..]));
        assert_eq!(Item::read(b"\x64IETF").unwrap().text(), Some("IETF"));
        assert_eq!(Item::read(&[0x83, 1, 2, 3]).unwrap().items().len(), 3);
        let map = Item::read(&[0xa2, 0x61, 0x61, 0x01, 0x61, 0x62, 0x82, 0x02, 0x03]).unwrap();
        assert_eq!(map.field("a").unwrap().number(), Some(1));
        assert_eq!(map.field("b").unwrap().raw, &[0x82, 2, 3]);
    }

    #[test]
    fn what_is_no_item_is_none() {
        for bytes in [&[][..], &[0x19, 3], &[0x44, 1], &[0x81], &[0xff], &[1, 2], &[0x5b, 255, 255, 255, 255]]
        {
            assert_eq!(Item::read(bytes), None, "{bytes:?}");
        }
        assert_eq!(Item::read(&[0x81; 64]), None, "too deep");
    }
}
