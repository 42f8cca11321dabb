//! Amounts of memory, as people write them.

/// Bytes of `60MB`, `64MiB`, `1.5GB` or plain `60000000`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        _ => return Err("write an amount such as 60MB or 64MiB".into()),
    };
    let number: f64 = number.parse().map_err(|_| "write an amount such as 60MB or 64MiB".to_owned())?;
    Ok((number * unit) as u64)
}

/// Bytes in millions, one digit.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_more_than_32_bits() {
        assert_eq!(megabytes(8 << 30), "8589.9 MB");
    }

    #[test]
    fn reads_amounts() {
        assert_eq!(parse("60MB"), Ok(60_000_000));
        assert_eq!(parse("64 MiB"), Ok(64 << 20));
        assert_eq!(parse("1.5g"), Ok(1_500_000_000));
        assert_eq!(parse("12"), Ok(12));
        for bad in ["", "MB", "5 apples", "1.2.3MB", "-4MB"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
