//! `cargo xtask web`: builds the web page into `web/dist` and writes the stamp of its sources beside it.
//!
//! `dist` is committed, so that a clone has the page without Node.js; the stamp lets the build script of the node see whether
//! it is the page of these sources.

use std::path::Path;

use crate::{Error, page};

#[path = "../../node/build/stamp.rs"]
mod stamp;

/// Builds it; with `--check`, only says whether `dist` is the page of these sources; with `--test`, runs its tests and no others.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    let web = root.join("web");
    let dist = web.join("dist");
    let now = stamp::stamp(&web)?;
    match args {
        [] => {}
        [flag] if flag == "--test" => return page::alone(root, page::Which::Short),
        [flag] if flag == "--check" => {
            let of = std::fs::read_to_string(dist.join(stamp::FILE)).unwrap_or_default();
            return if of.trim() == now {
                Ok(())
            } else {
                Err("web/dist is not of these sources: cargo xtask web".into())
            };
        }
        _ => return Err("web takes only --check or --test".into()),
    }
    page::install(&web).run()?;
    page::npm(&web, ["run", "build"]).run()?;
    if !dist.join("index.html").is_file() {
        return Err("`npm run build` made no dist/index.html".into());
    }
    std::fs::write(dist.join(stamp::FILE), format!("{now}\n"))?;
    println!("web/dist is the page of these sources");
    Ok(())
}
