//! The alphabet of byte-level BPE, which maps every byte to a printable character, as in GPT-2.

/// The byte that a character represents, if it is in the alphabet.
pub fn char_to_byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// The character that represents a byte. Printable Latin-1 represents itself; the others follow from U+0100.
pub fn byte_to_char(byte: u8) -> char {
    let code = u32::from(byte);
    let code = match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => code,
        0..=0x20 => 0x100 + code,
        0x7F..=0xA0 => 0x100 + code - 0x7F + 0x21,
        0xAD => 0x143,
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The bytes of a byte-level BPE token; its UTF-8 if a character is not in the alphabet.
pub fn byte_level(token: &str) -> Vec<u8> {
    token
        .chars()
        .map(char_to_byte)
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_else(|| token.as_bytes().to_vec())
}

/// The bytes of a SentencePiece token: `▁` is a space and `<0x0A>` a byte.
pub fn sentencepiece(token: &str) -> Vec<u8> {
    byte_token(token).map_or_else(|| token.replace('▁', " ").into_bytes(), |byte| vec![byte])
}

/// The byte of a token such as `<0x0A>`.
pub fn byte_token(token: &str) -> Option<u8> {
    let digits = token
        .strip_prefix("<0x")?
        .strip_suffix('>')
        .filter(|digits| digits.len() == 2)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection() {
        for byte in 0..=255 {
            assert_eq!(char_to_byte(byte_to_char(byte)), Some(byte));
        }
        assert_eq!((byte_to_char(b' '), byte_to_char(b'\n')), ('Ġ', 'Ċ'));
    }

    #[test]
    fn byte_tokens_are_recognised() {
        assert_eq!(sentencepiece("<0x0A>"), b"\n");
        assert_eq!(sentencepiece("▁the"), b" the");
        assert_eq!(sentencepiece("<0x0>"), b"<0x0>");
        assert_eq!(byte_token("<0x+1>"), None);
    }
}
