//! Opening the page in the user's browser.
//!
//! The link holds a code that opens a session, and arguments of processes can be read by every user of the machine. So the browser
//! is given a file of the home, readable by its owner alone, that leads to the link.

use std::path::Path;
use std::process::{Command, Stdio};

use parlor_node::Home;

/// Whether there is a desktop to open a browser on, and the user did not say no (`PARLOR_NO_BROWSER`).
pub fn is_there() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let desktop = cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY");
    desktop && !set("PARLOR_NO_BROWSER")
}

/// Opens `url` of this home's node; whether a browser was found.
pub fn open(home: &Home, url: &str) -> bool {
    if !is_there() {
        return false;
    }
    let file = home.dir().join("web.html");
    if parlor_node::home::write_private(&file, leads_to(url).as_bytes()).is_err() {
        return false;
    }
    start(&file)
}

/// A page that leads to `url`, which is ours: an address and hexadecimal digits.
fn leads_to(url: &str) -> String {
    let url = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0;url={url}\">\n<title>Parlor</title>\n<a href=\"{url}\">Open Parlor</a>\n"
    )
}

fn start(file: &Path) -> bool {
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        Command::new("explorer")
    } else {
        Command::new("xdg-open")
    };
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_leads_to_the_link_and_the_link_is_nowhere_else() {
        let url = "http://127.0.0.1:7077/#code=5ca1ab1e";
        let page = leads_to(url);
        assert_eq!(page.matches(url).count(), 2);
        assert!(leads_to("x\"><script>").contains("x&quot;>&lt;script>"));
    }
}
