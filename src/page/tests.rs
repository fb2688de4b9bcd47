use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;

const HOSTILE: &str = "</script><script>alert(1)</script><!-- <script> {{data}} & \u{2028}";

/// A table with hostile names everywhere that files may give one.
fn table() -> Table {
    let text = serde_json::json!({
        "schema_version": 1,
        "space": HOSTILE,
        "constraints": [HOSTILE],
        "columns": [{ "name": HOSTILE, "unit": null, "goal": null }],
        "axes": 1,
        "refused": [{ "point": 1, "reason": HOSTILE }],
        "left_out": 0,
        "rows": [{ "point": 0, "values": [HOSTILE] }, { "point": 2, "values": [0.1] }],
    });
    serde_json::from_value(text).unwrap()
}

fn sensitivity() -> Sensitivity {
    let score = serde_json::json!({
        "images": 3, "hits": 1, "rate": 1.0 / 3.0, "ci95": [0.06, 0.79], "agreement": 1.0, "sqnr_db": null,
    });
    let text = serde_json::json!({
        "schema_version": 1, "network": "n<1", "hardware": "h", "dataset": "d", "layers": ["l"],
        "base": score,
        "experiments": [{
            "layer": "l", "kind": "weights", "bits": 3, "point": -1, "rounding": null, "threshold": null, "loss": -0.25,
            "score": score,
        }],
    });
    serde_json::from_value(text).unwrap()
}

/// What a browser reads as the data: from the block's tag to the first end of a script.
fn data(page: &str) -> &str {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"results\">").unwrap();
    rest.split_once("</script").unwrap().0
}

fn carries<P: Page>(results: &P) -> String {
    let page = to_html(results).unwrap();
    let within: Value = serde_json::from_str(data(&page)).unwrap();
    assert_eq!(within, serde_json::to_value(results).unwrap());
    assert_eq!(page, to_html(results).unwrap());
    page
}

#[test]
fn a_page_carries_its_results_exactly_whatever_their_names() {
    carries(&sensitivity());
    let page = carries(&table());
    // The frame's scripts and no others: data, library, ours.
    let without = page.replace(LIBRARY, "");
    assert_eq!(without.matches("<script").count(), 3);
    assert_eq!(without.matches("</script").count(), 3);
    assert!(!without.contains("<!--"));
    let heading = "<h1>Sweep of &lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- &lt;script&gt; \
                   {{data}} &amp; \u{2028}</h1>";
    assert!(page.contains(heading));
}

#[test]
fn a_page_loads_nothing() {
    let page = to_html(&sensitivity()).unwrap().replace(LIBRARY, "");
    for loads in ["http:", "https:", "url(", "@import", "src=", "fetch(", "import("] {
        assert!(!page.contains(loads), "{loads}");
    }
    for (at, _) in page.match_indices("href=") {
        assert!(page[at..].starts_with("href=\"data:,\""), "{}", &page[at..at + 40]);
    }
    assert!(page.contains("default-src 'none'"));
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
}

#[test]
fn scripts_put_no_text_into_markup() {
    let ours =
        [Report::SCRIPT, Table::SCRIPT, Sensitivity::SCRIPT, Search::SCRIPT, Sparsity::SCRIPT];
    for script in COMMON.into_iter().chain(ours) {
        assert!(script.starts_with("\"use strict\";"));
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(markup), "{markup}");
        }
    }
}

#[test]
fn the_library_is_the_one_that_its_readme_names() {
    let sum: String = Sha256::digest(LIBRARY).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(include_str!("vendor/README.md").contains(&sum));
    assert!(!LIBRARY.contains("</script"));
}
