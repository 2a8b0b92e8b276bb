//! The shipped table of receiving providers: which domains share one set of mail servers, and so one set of limits.
//! Each entry names its source. ISPDB is `https://autoconfig.thunderbird.net/v1.1/DOMAIN`, the settings that providers
//! publish for mail programs.

/// A provider with more than one domain.
pub struct Provider {
    /// The site's name: the provider's best known domain. It is one of `domains`.
    pub site: &'static str,
    pub domains: &'static [&'static str],
    /// First labels of a domain for each country: `yahoo` stands for `yahoo.fr` and `yahoo.co.uk`.
    pub families: &'static [&'static str],
    /// Domains whose subdomains belong to the provider.
    pub parents: &'static [&'static str],
}

const fn provider(site: &'static str, domains: &'static [&'static str]) -> Provider {
    Provider {
        site,
        domains,
        families: &[],
        parents: &[],
    }
}

/// A domain that is listed wins over a family.
pub const PROVIDERS: &[Provider] = &[
    // https://support.google.com/mail/answer/10313
    provider("gmail.com", &["gmail.com", "googlemail.com"]),
    // ISPDB hotmail.com
    Provider {
        families: &["hotmail", "outlook", "live", "msn"],
        ..provider(
            "outlook.com",
            &[
                "outlook.com",
                "windowslive.com",
                "livemail.tw",
                "passport.com",
            ],
        )
    },
    // ISPDB yahoo.com, aol.com and att.net. AOL, Verizon and AT&T are on Yahoo's servers:
    // https://senders.yahooinc.com/contact and https://www.twilio.com/docs/sendgrid (inbox provider insights, Yahoo).
    // Sky: https://www.sky.com/help/articles/sky-yahoo-mail
    Provider {
        families: &["yahoo", "aol"],
        ..provider(
            "yahoo.com",
            &[
                "yahoo.com",
                "ymail.com",
                "myyahoo.com",
                "rocketmail.com",
                "aol.com",
                "aim.com",
                "netscape.net",
                "netscape.com",
                "compuserve.com",
                "cs.com",
                "wmconnect.com",
                "verizon.net",
                "cox.net",
                "sky.com",
                "att.net",
                "ameritech.net",
                "bellsouth.net",
                "currently.com",
                "flash.net",
                "nvbell.net",
                "pacbell.net",
                "prodigy.net",
                "sbcglobal.net",
                "snet.net",
                "swbell.net",
                "wans.net",
            ],
        )
    },
    // Another company than Yahoo: https://support.yahoo-net.jp/PccMail
    provider("yahoo.co.jp", &["yahoo.co.jp", "ybb.ne.jp"]),
    // https://support.apple.com/102541
    provider("icloud.com", &["icloud.com", "me.com", "mac.com"]),
    // https://service.mail.qq.com
    provider("qq.com", &["qq.com", "vip.qq.com", "foxmail.com"]),
    // https://help.mail.163.com
    provider(
        "163.com",
        &[
            "163.com",
            "126.com",
            "yeah.net",
            "vip.163.com",
            "vip.126.com",
            "188.com",
        ],
    ),
    // https://help.sina.com.cn
    provider("sina.com", &["sina.com", "sina.cn", "vip.sina.com"]),
    // ISPDB gmx.net, gmx.com, web.de and mail.com; one company and one postmaster: https://postmaster.gmx.net
    Provider {
        families: &["gmx"],
        ..provider(
            "gmx.net",
            &[
                "gmx.net",
                "gmx.org",
                "gmx.biz",
                "gmx.info",
                "mein.gmx",
                "mail.gmx",
                "email.gmx",
                "web.de",
                "mail.com",
                "accountant.com",
                "berlin.com",
                "consultant.com",
                "dr.com",
                "email.com",
                "engineer.com",
                "europe.com",
                "iname.com",
                "journalist.com",
                "lawyer.com",
                "london.com",
                "munich.com",
                "musician.org",
                "myself.com",
                "usa.com",
            ],
        )
    },
    // ISPDB t-online.de
    provider("t-online.de", &["t-online.de", "magenta.de"]),
    // ISPDB orange.fr
    provider("orange.fr", &["orange.fr", "wanadoo.fr"]),
    // ISPDB sfr.fr
    provider("sfr.fr", &["sfr.fr", "neuf.fr", "club-internet.fr"]),
    // https://proton.me/support/pm-me-email
    provider(
        "proton.me",
        &["proton.me", "protonmail.com", "protonmail.ch", "pm.me"],
    ),
    // https://www.fastmail.help/hc/en-us/articles/360060591053
    provider("fastmail.com", &["fastmail.com", "fastmail.fm"]),
    // ISPDB zoho.com
    provider("zoho.com", &["zoho.com", "zohomail.com"]),
    // ISPDB mail.ru; https://help.mail.ru/mail
    provider(
        "mail.ru",
        &["mail.ru", "inbox.ru", "list.ru", "bk.ru", "internet.ru"],
    ),
    // ISPDB yandex.ru; https://yandex.ru/support/mail
    Provider {
        families: &["yandex"],
        ..provider("yandex.ru", &["yandex.ru", "ya.ru", "narod.ru"])
    },
    // ISPDB daum.net; Hanmail and Kakao are the same service: https://cs.daum.net
    provider("daum.net", &["daum.net", "hanmail.net", "kakao.com"]),
    // ISPDB charter.com; Time Warner Cable and Bright House belong to it: https://www.spectrum.net/support/internet
    Provider {
        parents: &["rr.com"],
        ..provider(
            "charter.net",
            &[
                "charter.net",
                "spectrum.net",
                "bresnan.net",
                "twc.com",
                "roadrunner.com",
                "brighthouse.com",
            ],
        )
    },
    // ISPDB btinternet.com
    provider(
        "btinternet.com",
        &["btinternet.com", "btopenworld.com", "talk21.com"],
    ),
    // ISPDB virginmedia.com, ntlworld.com, blueyonder.co.uk and virgin.net
    provider(
        "virginmedia.com",
        &[
            "virginmedia.com",
            "ntlworld.com",
            "blueyonder.co.uk",
            "virgin.net",
        ],
    ),
    // ISPDB libero.it; Virgilio is a service of the same company: https://info.libero.it
    provider(
        "libero.it",
        &[
            "libero.it",
            "iol.it",
            "inwind.it",
            "blu.it",
            "giallo.it",
            "virgilio.it",
        ],
    ),
    // https://www2.telenet.be/nl/klantenservice
    provider("telenet.be", &["telenet.be", "pandora.be"]),
    // ISPDB proximus.be
    provider("proximus.be", &["proximus.be", "skynet.be", "belgacom.net"]),
    // ISPDB ziggo.nl
    provider(
        "ziggo.nl",
        &[
            "ziggo.nl",
            "ziggomail.com",
            "hahah.nl",
            "casema.nl",
            "zinders.nl",
            "zeggis.nl",
            "zeggis.com",
            "razcall.nl",
            "razcall.com",
            "upcmail.nl",
            "chello.nl",
            "multiweb.nl",
            "home.nl",
            "quicknet.nl",
        ],
    ),
    // https://www.kpn.com/service/internet/mail
    provider(
        "kpnmail.nl",
        &[
            "kpnmail.nl",
            "planet.nl",
            "hetnet.nl",
            "kpnplanet.nl",
            "xs4all.nl",
        ],
    ),
];
