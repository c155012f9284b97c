//! Which part of a file a `Range` header asks for (RFC 9110, section 14). Pure.

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no part is asked for, several are, or the header is not understood.
    Whole,
    /// From the first byte to the last, which belongs to it.
    Part { first: u64, last: u64 },
    /// Nothing of what is asked for is there.
    Nothing,
}

/// One entry of the header.
#[derive(Clone, Copy)]
enum Asked {
    From(u64),
    FromTo(u64, u64),
    /// So many bytes at the end.
    Last(u64),
}

impl Wanted {
    pub fn parse(header: &str, length: u64) -> Self {
        let entries = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
        let Some(asked) = entries.and_then(|(_, entries)| {
            let entries = entries.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            entries.map(Asked::parse).collect::<Option<Vec<_>>>()
        }) else {
            return Self::Whole;
        };
        match asked.as_slice() {
            [] => Self::Whole,
            [one] => one.within(length).map_or(Self::Nothing, |(first, last)| Self::Part { first, last }),
            several if several.iter().all(|one| one.within(length).is_none()) => Self::Nothing,
            _ => Self::Whole,
        }
    }
}

impl Asked {
    fn parse(entry: &str) -> Option<Self> {
        match entry.split_once('-')? {
            ("", count) => number(count).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The first and the last byte that are there.
    fn within(self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        match self {
            Self::From(first) => (first <= end).then_some((first, end)),
            Self::FromTo(first, last) => (first <= end).then_some((first, last.min(end))),
            Self::Last(count) => (count > 0).then_some((length.saturating_sub(count), end)),
        }
    }
}

/// A number of digits only; whatever is too large is larger than any file.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Wanted::*, *};

    #[test]
    fn ranges_are_cut_to_the_file() {
        let cases = [
            ("bytes=0-0", Part { first: 0, last: 0 }),
            ("bytes=0-99", Part { first: 0, last: 99 }),
            ("bytes=0-100", Part { first: 0, last: 99 }),
            ("bytes=99-", Part { first: 99, last: 99 }),
            ("bytes=-1", Part { first: 99, last: 99 }),
            ("bytes=-100", Part { first: 0, last: 99 }),
            ("bytes=-1000", Part { first: 0, last: 99 }),
            ("bytes=5-99999999999999999999999999", Part { first: 5, last: 99 }),
            ("BYTES=1-2", Part { first: 1, last: 2 }),
            ("bytes=, 1-2 ,", Part { first: 1, last: 2 }),
        ];
        for (header, expected) in cases {
            assert_eq!(Wanted::parse(header, 100), expected, "{header}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_to_be_nothing() {
        for header in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-", "bytes=100-,200-"] {
            assert_eq!(Wanted::parse(header, 100), Nothing, "{header}");
        }
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(Wanted::parse(header, 0), Nothing, "{header}");
        }
    }

    #[test]
    fn headers_of_several_ranges_or_none_mean_the_whole_file() {
        let headers = [
            "bytes=0-1,3-4",
            "bytes=0-1,200-",
            "bytes=2-1",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes=1 - 2",
            "bytes",
            "",
            "lines=1-2",
            "bytes=1-2,x",
            "bytes=--1",
        ];
        for header in headers {
            assert_eq!(Wanted::parse(header, 100), Whole, "{header}");
        }
    }
}
