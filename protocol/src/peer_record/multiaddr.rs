//! Multiaddrs from their binary to their text form, for the protocols that nodes of this project are reached by.
//!
//! The codes are those of <https://github.com/multiformats/multicodec/blob/master/table.csv>. An address with a
//! protocol that is not here is none that this node could dial, and has no text.

use super::protobuf::take_varint;
use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The text form of a binary multiaddr; `None` for bytes that are none, and for protocols that are not known here.
pub fn text_of(mut bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    while !bytes.is_empty() {
        let code = take_varint(&mut bytes)?;
        match code {
            4 => write!(text, "/ip4/{}", Ipv4Addr::from(take::<4>(&mut bytes)?)),
            41 => write!(text, "/ip6/{}", Ipv6Addr::from(take::<16>(&mut bytes)?)),
            6 => write!(text, "/tcp/{}", u16::from_be_bytes(take(&mut bytes)?)),
            273 => write!(text, "/udp/{}", u16::from_be_bytes(take(&mut bytes)?)),
            53..=56 => {
                let kind = ["dns", "dns4", "dns6", "dnsaddr"][code as usize - 53];
                write!(text, "/{kind}/{}", name(take_sized(&mut bytes)?)?)
            }
            421 => write!(text, "/p2p/{}", base58(take_sized(&mut bytes)?)),
            290 => write!(text, "/p2p-circuit"),
            460 => write!(text, "/quic"),
            461 => write!(text, "/quic-v1"),
            _ => return None,
        }
        .expect("writing to a string cannot fail");
    }
    (!text.is_empty()).then_some(text)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

fn take_sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// A host name: nothing that could be read as another part of the address.
fn name(bytes: &[u8]) -> Option<&str> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    std::str::from_utf8(bytes).ok().filter(|name| !name.is_empty() && name.bytes().all(|byte| is_name(&byte)))
}

/// Base 58 in the alphabet of Bitcoin, as peer ids are written.
pub fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut digits: Vec<u8> = Vec::new();
    for byte in &bytes[zeros..] {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let letters = digits.iter().rev().map(|digit| ALPHABET[usize::from(*digit)] as char);
    "1".repeat(zeros).chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_addresses_have_their_text_and_others_none() {
        let with = |parts: &[&[u8]]| parts.concat();
        let quic = with(&[&[4, 192, 0, 2, 7], &[0x91, 0x02, 0x1e, 0x14], &[0xcd, 0x03]]);
        let dns = with(&[&[54, 11], b"example.org", &[6, 0x1e, 0x14]]);
        for (bytes, text) in [
            (quic.as_slice(), Some("/ip4/192.0.2.7/udp/7700/quic-v1")),
            (&dns, Some("/dns4/example.org/tcp/7700")),
            (&[0xa5, 0x03, 2, 0, 1], Some("/p2p/12")),
            (&[], None),
            (&[4, 192, 0, 2], None),
            (&[54, 3, b'a', b'/', b'b'], None),
            (&[54, 200, b'a'], None),
            (&[0xff, 0x7f], None),
            (&[0xff; 12], None),
        ] {
            assert_eq!(text_of(bytes).as_deref(), text, "{bytes:?}");
        }
    }

    #[test]
    fn base_58_is_that_of_bitcoin() {
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(base58(&[0, 0, 40, 127, 180, 205]), "11233QC4");
    }
}
