//! The page on rights against the catalogue: which families are for whom must be what the hub goes by.

use std::collections::BTreeMap;

use tapeline_schema::{Catalog, Readers};

const PAGE: &str = include_str!("../../../docs/security.md");

#[test]
fn the_page_on_rights_names_every_family_with_its_readers() {
    let mut told = BTreeMap::new();
    let rows = PAGE.split("| readers | who | families |").nth(1).into_iter().flat_map(str::lines);
    for row in rows.skip(2).take_while(|line| line.starts_with('|')) {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let readers = cells.next().unwrap_or_default();
        for family in cells.next_back().unwrap_or_default().split('`').skip(1).step_by(2) {
            told.insert(family.to_string(), readers.to_string());
        }
    }
    let word = |readers| match readers {
        Readers::Public => "public",
        Readers::Own => "own",
        Readers::Owner => "owner",
        Readers::Operator => "operator",
        Readers::AsChannel => "as the channel",
    };
    let family = |template: &str| template.split(':').next().unwrap_or_default().to_string();
    let catalog = Catalog::built_in();
    let known: BTreeMap<String, String> =
        catalog.specs().map(|spec| (family(&spec.template), word(spec.read).to_string())).collect();
    assert_eq!(told, known);
}
