//! A list of made-up recipients and templates of the sizes of a usual newsletter: 3.8 KB of HTML, 1.2 KB of text.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

pub const SUBJECT: &str = "Spring sale, {{ name }}";
pub const FROM: &str = "Acme <news@acme.example>";
const ITEMS: u32 = 12;

pub fn write(folder: &Path, rows: u64) {
    std::fs::write(folder.join("spring.html"), html()).expect("a template");
    std::fs::write(folder.join("spring.txt"), text()).expect("a template");
    let file = File::create(folder.join("list.csv")).expect("a list");
    let mut list = BufWriter::new(file);
    writeln!(list, "email,name,city,code,link").expect("a header row");
    for row in 0..rows {
        let site = row % 97;
        let code = row.wrapping_mul(2_654_435_761) % 1_000_000;
        writeln!(
            list,
            "person.{row}@site{site}.example.org,Anna {row},Town {site},{code:06},https://acme.example/?r={row}"
        )
        .expect("a row");
    }
    list.flush().expect("a list");
}

fn html() -> String {
    let items: String = (0..ITEMS)
        .map(|n| {
            format!(
                "<tr><td style=\"padding:8px 16px;border-bottom:1px solid #eeeeee;font-size:14px\">\
                 <a href=\"{{{{ link }}}}&amp;item={n}\" style=\"color:#204a87;text-decoration:none\">Article number {n}</a>\
                 <br>A short sentence that says why it is worth a look.</td><td>{n}9.90</td></tr>\n"
            )
        })
        .collect();
    format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>Spring</title></head>\n\
         <body style=\"font-family:Helvetica,Arial,sans-serif;color:#333333;margin:0\">\n\
         <h1>Good morning, {{{{ name }}}}</h1>\n<p>News from {{{{ city }}}}, and your code: <b>{{{{ code }}}}</b>.</p>\n\
         <table width=\"600\">\n{items}</table>\n<p>{}</p>\n\
         <p><a href=\"{{{{ link }}}}\">See all</a> as {{{{ email }}}}</p></body></html>\n",
        "We have been at this for years and still like it. ".repeat(8)
    )
}

fn text() -> String {
    let items: String = (0..ITEMS)
        .map(|n| format!("- Article number {n}, {n}9.90: {{{{ link }}}}&item={n}\n"))
        .collect();
    format!(
        "Good morning, {{{{ name }}}}\n\nNews from {{{{ city }}}}, and your code: {{{{ code }}}}.\n\n{items}\n{}\n\n{{{{ link }}}}\n{{{{ email }}}}\n",
        "We have been at this for years and still like it.\n".repeat(8)
    )
}
