//! Formats dates like Python's `strftime` on Linux, in the C locale and without a time zone.

use super::fault::Result;
use super::meter::Text;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// The flags of a directive, between the percent sign and the letter.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    /// `0`, `_` or `-`: pad with zeros, with spaces, or not.
    padding: Option<char>,
    upper: bool,
    swap: bool,
    width: usize,
}

/// The meaning of a directive.
enum Part {
    /// A number, its min number of digits, and the padding.
    Number(i64, usize, char),
    Text(String),
    /// Text that the flag for swapping case changes to upper case.
    Name(&'static str),
    /// `AM` or `PM`, which the same flag changes to lower case.
    Half(&'static str),
    /// A nested format.
    Format(&'static str),
}

/// Writes a time in a format. Anything that is not a directive is unchanged.
pub fn write(format: &str, time: &DateTime, out: &mut Text) -> Result<()> {
    out.meter().work(format.len())?;
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push(&rest[..at])?;
        rest = &rest[at..];
        out.meter().steps(2)?;
        let (flags, length, modifier) = flags(rest);
        let Some(letter) = rest[length..].chars().next() else {
            pad(rest, flags, out)?;
            return Ok(());
        };
        let (whole, after) = rest.split_at(length + letter.len_utf8());
        rest = after;
        let is_known = match modifier {
            None => true,
            Some('E') => "cnprstuxyzCPRTXYZ%".contains(letter),
            Some(_) => "bdeghjklmnprstuwyzBCGHIMPRSTUVWZ%".contains(letter),
        };
        match part(letter, time).filter(|_| is_known) {
            Some(part) => write_part(part, flags, time, out)?,
            // Python itself inserts the microseconds, only for a directive without flags.
            None if whole == "%f" => {
                out.push(&format!("{:06}", time.subsec_nanosecond() / 1000))?
            }
            None if flags.upper => pad(&whole.to_uppercase(), flags, out)?,
            None => pad(whole, flags, out)?,
        }
    }
    out.push(rest)
}

/// The flags after a percent sign, their length, and the modifier `E` or `O`.
fn flags(text: &str) -> (Flags, usize, Option<char>) {
    let mut flags = Flags::default();
    let mut rest = &text[1..];
    while let Some(flag) = rest.chars().next().filter(|c| "_-0^#".contains(*c)) {
        match flag {
            '^' => flags.upper = true,
            '#' => flags.swap = true,
            padding => flags.padding = Some(padding),
        }
        rest = &rest[1..];
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    flags.width = rest[..digits].parse().unwrap_or(match digits {
        0 => 0,
        _ => usize::MAX,
    });
    rest = &rest[digits..];
    let modifier = rest.chars().next().filter(|c| matches!(c, 'E' | 'O'));
    let length = text.len() - rest.len() + usize::from(modifier.is_some());
    (flags, length, modifier)
}

fn part(letter: char, time: &DateTime) -> Option<Part> {
    let number = |value: i8, digits| Part::Number(i64::from(value), digits, '0');
    let year = i64::from(time.year());
    let weekday = time.weekday().to_sunday_zero_offset();
    let day_of_year = i64::from(time.day_of_year());
    let week = time.date().iso_week_date();
    let week_year = i64::from(week.year());
    let half_day = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let half = if time.hour() < 12 { "AM" } else { "PM" };
    let day_name = DAYS[usize::from(weekday.unsigned_abs()) % 7];
    let month_name = MONTHS[usize::from(time.month().unsigned_abs()).saturating_sub(1) % 12];
    Some(match letter {
        'a' => Part::Name(&day_name[..3]),
        'A' => Part::Name(day_name),
        'b' | 'h' => Part::Name(&month_name[..3]),
        'B' => Part::Name(month_name),
        'c' => Part::Format("%a %b %e %H:%M:%S %Y"),
        'C' => Part::Number(year.div_euclid(100), 2, '0'),
        'd' => number(time.day(), 2),
        'D' | 'x' => Part::Format("%m/%d/%y"),
        'e' => Part::Number(i64::from(time.day()), 2, '_'),
        'F' => Part::Format("%Y-%m-%d"),
        'g' => Part::Number(week_year.rem_euclid(100), 2, '0'),
        'G' => Part::Number(week_year, 1, '0'),
        'H' => number(time.hour(), 2),
        'I' => number(half_day, 2),
        'j' => Part::Number(day_of_year, 3, '0'),
        'k' => Part::Number(i64::from(time.hour()), 2, '_'),
        'l' => Part::Number(i64::from(half_day), 2, '_'),
        'm' => number(time.month(), 2),
        'M' => number(time.minute(), 2),
        'n' => Part::Text("\n".into()),
        'p' => Part::Half(half),
        'P' => Part::Text(half.to_ascii_lowercase()),
        'r' => Part::Format("%I:%M:%S %p"),
        'R' => Part::Format("%H:%M"),
        's' => Part::Text(seconds(time).to_string()),
        'S' => number(time.second(), 2),
        't' => Part::Text("\t".into()),
        'T' | 'X' => Part::Format("%H:%M:%S"),
        'u' => number(time.weekday().to_monday_one_offset(), 1),
        'U' => Part::Number((day_of_year + 6 - i64::from(weekday)) / 7, 2, '0'),
        'V' => number(week.week(), 2),
        'w' => number(weekday, 1),
        'W' => Part::Number((day_of_year + 6 - (i64::from(weekday) + 6) % 7) / 7, 2, '0'),
        'y' => Part::Number(year.rem_euclid(100), 2, '0'),
        'Y' => Part::Number(year, 1, '0'),
        // As in transformers, the time has no zone.
        'z' | 'Z' => Part::Text(String::new()),
        '%' => Part::Text("%".into()),
        _ => return None,
    })
}

/// Seconds since 1970 of a local time.
fn seconds(time: &DateTime) -> i64 {
    let zoned = time.to_zoned(TimeZone::system());
    zoned.map_or(0, |zoned| zoned.timestamp().as_second())
}

fn write_part(part: Part, flags: Flags, time: &DateTime, out: &mut Text) -> Result<()> {
    match part {
        Part::Number(number, digits, fill) => {
            let text = number.to_string();
            let fill = flags.padding.unwrap_or(fill);
            let missing = digits.max(flags.width).saturating_sub(text.len());
            match fill {
                '0' => out.repeat("0", missing)?,
                '_' => out.repeat(" ", missing)?,
                _ => out.repeat(" ", flags.width.saturating_sub(text.len()))?,
            }
            out.push(&text)
        }
        Part::Text(text) => pad(&text, flags, out),
        Part::Name(name) if flags.upper || flags.swap => pad(&name.to_uppercase(), flags, out),
        Part::Half(half) if flags.swap => pad(&half.to_lowercase(), flags, out),
        Part::Name(text) | Part::Half(text) => pad(text, flags, out),
        Part::Format(format) => {
            let mut inner = Text::new(&out.meter())?;
            write(format, time, &mut inner)?;
            match flags.upper {
                true => pad(&inner.as_str().to_uppercase(), flags, out),
                false => pad(inner.as_str(), flags, out),
            }
        }
    }
}

/// Pads a string to the width of its directive.
fn pad(text: &str, flags: Flags, out: &mut Text) -> Result<()> {
    let fill = if flags.padding == Some('0') { "0" } else { " " };
    out.repeat(fill, flags.width.saturating_sub(text.len()))?;
    out.push(text)
}
