//! The `Date` field. It is written when a message is sent, because a queued message may wait for days.

use std::time::SystemTime;

/// `Date: Sat, 21 Nov 2026 17:32:00 +0000` and CRLF, in UTC (RFC 5322 §3.3). A time outside the years -9999 to 9999
/// becomes the nearest time in them.
pub fn field(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(if at < SystemTime::UNIX_EPOCH {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    });
    format!("Date: {}\r\n", at.strftime("%a, %d %b %Y %H:%M:%S +0000"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn writes_the_date_as_rfc_5322_says() {
        let at = |seconds| field(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n");
        assert_eq!(
            at(1_795_282_320),
            "Date: Sat, 21 Nov 2026 17:32:00 +0000\r\n"
        );
        assert_eq!(
            at(1_709_251_199),
            "Date: Thu, 29 Feb 2024 23:59:59 +0000\r\n"
        );
    }

    #[test]
    fn an_independent_parser_reads_the_date_back() {
        for seconds in [1_u64, 951_782_400, 1_795_282_320, 4_102_444_800] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let text = format!("{}\r\nbody", field(at));
            let parsed = mail_parser::MessageParser::default()
                .parse(text.as_bytes())
                .and_then(|message| message.date().map(mail_parser::DateTime::to_timestamp));
            assert_eq!(parsed, i64::try_from(seconds).ok());
        }
    }
}
