//! Values of any type of the wire, drawn from the fuzzer's bytes.
//!
//! A message drawn here always has the right shape, so that the fuzzer spends its time on what machines make of it and
//! not on commas. It is a serde deserializer whose input is chance: what a type asks for (a number, one of these
//! variants, a list) is what it gets. Hashes, keys, signatures and peers are mostly those of the [world](crate::world),
//! because an invented one fits nothing.

use arbitrary::Unstructured;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use std::fmt;

/// Most elements of a list.
const MAX_ELEMENTS: usize = 4;

/// What is drawn from besides chance.
#[derive(Default)]
pub struct Known {
    /// Byte strings; one of the length that is asked for is taken.
    pub bytes: Vec<Vec<u8>>,
    /// Numbers that mean something: heights, nonces.
    pub numbers: Vec<u64>,
    /// Texts.
    pub texts: Vec<String>,
}

/// Nothing can be drawn: the type refuses what fits its shape, or the bytes are used up in the middle of a number.
#[derive(Debug)]
pub struct CannotDraw;

impl fmt::Display for CannotDraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing of this type was drawn")
    }
}

impl std::error::Error for CannotDraw {}

impl de::Error for CannotDraw {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl From<arbitrary::Error> for CannotDraw {
    fn from(_: arbitrary::Error) -> Self {
        Self
    }
}

/// One value.
///
/// # Errors
/// [`CannotDraw`], which ends nothing: the caller does something else.
pub fn value<T: DeserializeOwned>(source: &mut Unstructured<'_>, known: &Known) -> Result<T, CannotDraw> {
    T::deserialize(&mut Draw { source, known })
}

/// One of these.
pub fn one_of<'c, T>(source: &mut Unstructured<'_>, choices: &'c [T]) -> Option<&'c T> {
    source.choose(choices).ok()
}

/// One of these, which there must be, taken out.
pub fn take<T>(source: &mut Unstructured<'_>, choices: &mut Vec<T>) -> T {
    let position = below(source, choices.len());
    choices.swap_remove(position)
}

/// A number below `bound`, which is not 0; 0 when the bytes are used up.
pub fn below(source: &mut Unstructured<'_>, bound: usize) -> usize {
    source.int_in_range(0..=bound - 1).unwrap_or(0)
}

/// Yes or no; no when the bytes are used up.
pub fn chance(source: &mut Unstructured<'_>, in_256: u8) -> bool {
    source.arbitrary::<u8>().is_ok_and(|byte| byte < in_256)
}

/// A number that may be near, absurd, or one that means something.
pub fn number(source: &mut Unstructured<'_>, known: &Known) -> u64 {
    match below(source, 8) {
        0..4 => below(source, 16) as u64,
        4 => source.arbitrary().unwrap_or(0),
        5 => u64::MAX - below(source, 4) as u64,
        _ => one_of(source, &known.numbers).copied().unwrap_or(0),
    }
}

struct Draw<'s, 'b> {
    source: &'s mut Unstructured<'b>,
    known: &'s Known,
}

impl Draw<'_, '_> {
    /// Bytes of this length, or of any.
    fn bytes(&mut self, length: Option<usize>) -> Vec<u8> {
        let known = self.known.bytes.iter();
        let fitting: Vec<&Vec<u8>> = match length {
            Some(length) => known.filter(|bytes| bytes.len() == length).collect(),
            None => known.collect(),
        };
        if !chance(self.source, 32)
            && let Some(bytes) = one_of(self.source, &fitting)
        {
            return bytes.to_vec();
        }
        let length = length.unwrap_or_else(|| below(self.source, 64));
        vec![self.source.arbitrary().unwrap_or(0); length]
    }

    /// Masks and signatures fit each other, as in no other structure.
    fn signature_set(&mut self) -> (Vec<u8>, Vec<u8>) {
        // Of validators that there are, and now and then of others.
        let mask =
            self.source.arbitrary::<u8>().unwrap_or(0) & if chance(self.source, 16) { 0xff } else { 0x0f };
        let signatures = (0..mask.count_ones()).flat_map(|_| self.bytes(Some(64))).collect();
        (if mask == 0 { Vec::new() } else { vec![mask] }, signatures)
    }
}

/// A number in the text "32 bytes, …" by which a type says what it expects.
fn expected_length<'d, V: Visitor<'d>>(visitor: &V) -> Option<usize> {
    let says = (visitor as &dyn Expected).to_string();
    says.split(' ').next()?.parse().ok()
}

macro_rules! draw_numbers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
            visitor.$visit(number(self.source, self.known) as $type)
        }
    )*};
}

impl<'d> Deserializer<'d> for &mut Draw<'_, '_> {
    type Error = CannotDraw;

    draw_numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64, deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64
    }

    fn deserialize_any<V: Visitor<'d>>(self, _: V) -> Result<V::Value, CannotDraw> {
        Err(CannotDraw)
    }

    fn deserialize_bool<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        visitor.visit_bool(chance(self.source, 128))
    }

    fn deserialize_char<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        visitor.visit_char(self.source.arbitrary()?)
    }

    fn deserialize_str<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        if !chance(self.source, 32)
            && let Some(text) = one_of(self.source, &self.known.texts)
        {
            return visitor.visit_string(text.clone());
        }
        let character: char = self.source.arbitrary()?;
        visitor.visit_string(character.to_string().repeat(below(self.source, 200)))
    }

    fn deserialize_bytes<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        let bytes = self.bytes(expected_length(&visitor));
        visitor.visit_bytes(&bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        if chance(self.source, 128) { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CannotDraw> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CannotDraw> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        let left = below(self.source, MAX_ELEMENTS + 1);
        visitor.visit_seq(Elements { draw: self, left })
    }

    fn deserialize_tuple<V: Visitor<'d>>(self, left: usize, visitor: V) -> Result<V::Value, CannotDraw> {
        visitor.visit_seq(Elements { draw: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, CannotDraw> {
        visitor.visit_seq(Elements { draw: self, left })
    }

    fn deserialize_map<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        let left = below(self.source, MAX_ELEMENTS + 1);
        visitor.visit_map(Elements { draw: self, left })
    }

    fn deserialize_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CannotDraw> {
        if fields == ["signers", "signatures"] {
            let (signers, signatures) = self.signature_set();
            return visitor.visit_seq(SignatureSetParts([Some(signatures), Some(signers)]));
        }
        visitor.visit_seq(Elements { draw: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'d>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CannotDraw> {
        let variant = one_of(self.source, variants).ok_or(CannotDraw)?;
        visitor.visit_enum(Variant { draw: self, variant })
    }

    fn deserialize_identifier<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        self.deserialize_string(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, CannotDraw> {
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

struct Elements<'a, 's, 'b> {
    draw: &'a mut Draw<'s, 'b>,
    left: usize,
}

impl<'d> SeqAccess<'d> for Elements<'_, '_, '_> {
    type Error = CannotDraw;

    fn next_element_seed<T: DeserializeSeed<'d>>(&mut self, seed: T) -> Result<Option<T::Value>, CannotDraw> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.draw).map(Some)
    }
}

impl<'d> MapAccess<'d> for Elements<'_, '_, '_> {
    type Error = CannotDraw;

    fn next_key_seed<K: DeserializeSeed<'d>>(&mut self, seed: K) -> Result<Option<K::Value>, CannotDraw> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'d>>(&mut self, seed: V) -> Result<V::Value, CannotDraw> {
        seed.deserialize(&mut *self.draw)
    }
}

/// The parts of a signature set, the last first.
struct SignatureSetParts([Option<Vec<u8>>; 2]);

impl<'d> SeqAccess<'d> for SignatureSetParts {
    type Error = CannotDraw;

    fn next_element_seed<T: DeserializeSeed<'d>>(&mut self, seed: T) -> Result<Option<T::Value>, CannotDraw> {
        let Some(part) = self.0.iter_mut().rev().find_map(Option::take) else { return Ok(None) };
        seed.deserialize(de::value::BytesDeserializer::new(&part)).map(Some)
    }
}

struct Variant<'a, 's, 'b> {
    draw: &'a mut Draw<'s, 'b>,
    variant: &'static str,
}

impl<'d> EnumAccess<'d> for Variant<'_, '_, '_> {
    type Error = CannotDraw;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'d>>(self, seed: V) -> Result<(V::Value, Self), CannotDraw> {
        let variant: de::value::StrDeserializer<'_, CannotDraw> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'d> VariantAccess<'d> for Variant<'_, '_, '_> {
    type Error = CannotDraw;

    fn unit_variant(self) -> Result<(), CannotDraw> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'d>>(self, seed: T) -> Result<T::Value, CannotDraw> {
        seed.deserialize(self.draw)
    }

    fn tuple_variant<V: Visitor<'d>>(self, left: usize, visitor: V) -> Result<V::Value, CannotDraw> {
        visitor.visit_seq(Elements { draw: self.draw, left })
    }

    fn struct_variant<V: Visitor<'d>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CannotDraw> {
        visitor.visit_seq(Elements { draw: self.draw, left: fields.len() })
    }
}
