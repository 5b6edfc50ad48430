//! Lists in pages.
//!
//! Owns: page sizes and page tokens; a token is the last name of the page before.

use naru_base::number::u64_from_signed;
use tonic::Status;

/// Names on a page that says nothing of its size, and at most.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

/// One page of names in their order, and the token of the next page; empty on the last.
pub(super) fn page(mut names: Vec<String>, size: i32, token: &str) -> Result<(Vec<String>, String), Status> {
    if size < 0 {
        return Err(Status::invalid_argument("The page_size in the request must not be negative."));
    }
    let size = naru_base::number::usize_from(u64_from_signed(i64::from(size)));
    let size = if size == 0 { PAGE_DEFAULT } else { size.min(PAGE_MAX) };
    names.sort_unstable();
    let mut rest = names.into_iter().filter(|name| token.is_empty() || name.as_str() > token);
    let page: Vec<String> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let next = page.last().filter(|_| more).cloned().unwrap_or_default();
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_to_the_whole_list() {
        let names: Vec<String> = (100..350).map(|n| format!("n{n}")).collect();
        let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (page, next) = page(names.iter().rev().cloned().collect(), 0, &token).unwrap();
            seen.extend(page);
            pages += 1;
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!((seen, pages), (names, 3));
        assert!(page(Vec::new(), -1, "").is_err());
    }
}
