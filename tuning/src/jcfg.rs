//! The few keys of `janus.jcfg` that say how many shards there are, on which cores and ports.
//!
//! A reader of its own, because this program must build and run without the server: it knows
//! sections, scalars and arrays, skips everything else, and never fails; what it cannot read is
//! not there. The server is the one that complains about its configuration.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

/// `section.key` to its value, arrays joined by commas.
pub(crate) type Keys = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Mark(char),
}

/// Reads a whole file.
pub(crate) fn read(text: &str) -> Keys {
    let mut tokens = tokens(text).into_iter().peekable();
    let mut keys = Keys::new();
    let mut path: Vec<String> = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            Token::Mark('}') => drop(path.pop()),
            Token::Word(name) if matches!(tokens.peek(), Some(Token::Mark(':' | '='))) => {
                tokens.next();
                match tokens.next() {
                    Some(Token::Mark('{')) => path.push(name),
                    Some(Token::Mark('[' | '(')) => {
                        keys.insert(full(&path, &name), items(&mut tokens));
                    }
                    Some(Token::Word(value)) => drop(keys.insert(full(&path, &name), value)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    keys
}

fn full(path: &[String], name: &str) -> String {
    let mut all = path.to_vec();
    all.push(name.to_owned());
    all.join(".")
}

/// The words up to the end of an array or list, whatever is nested in it.
fn items(tokens: &mut Peekable<IntoIter<Token>>) -> String {
    let (mut words, mut depth) = (Vec::new(), 1);
    for token in tokens {
        match token {
            Token::Mark('[' | '(' | '{') => depth += 1,
            Token::Mark(']' | ')' | '}') => depth -= 1,
            Token::Word(word) => words.push(word),
            Token::Mark(_) => {}
        }
        if depth == 0 {
            break;
        }
    }
    words.join(",")
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' => chars.by_ref().take_while(|c| *c != '\n').for_each(drop),
            '/' if chars.peek() == Some(&'/') => {
                chars.by_ref().take_while(|c| *c != '\n').for_each(drop);
            }
            '/' if chars.peek() == Some(&'*') => {
                let mut before = ' ';
                chars.next();
                for c in chars.by_ref() {
                    if before == '*' && c == '/' {
                        break;
                    }
                    before = c;
                }
            }
            '"' => {
                let mut word = String::new();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    word.extend(if c == '\\' { chars.next() } else { Some(c) });
                }
                found.push(Token::Word(word));
            }
            '{' | '}' | '[' | ']' | '(' | ')' | '=' | ':' | ';' | ',' => found.push(Token::Mark(c)),
            c if c.is_whitespace() => {}
            c => {
                let mut word = String::from(c);
                let more = |c: &char| c.is_alphanumeric() || "_-.+*".contains(*c);
                while let Some(c) = chars.next_if(more) {
                    word.push(c);
                }
                found.push(Token::Word(word));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_sections_are_found_and_comments_are_not() {
        let keys = read(
            "general: { event_loops = 4 # 5\n // x = 1\n /* y = 2 */ name = \"a \\\"b\\\" {\" }\n\
             media = { rtp_port_range = \"20000-40000\"; nested: { deep = 1 } ipv6 = true }\n\
             datapath: { affinity = [ 2, \"4-7\" ] shards = 3 }",
        );
        let get = |key: &str| keys.get(key).map(String::as_str);
        assert_eq!(get("general.event_loops"), Some("4"));
        assert_eq!(get("general.name"), Some("a \"b\" {"));
        assert_eq!(get("general.x"), None);
        assert_eq!(get("general.y"), None);
        assert_eq!(get("media.rtp_port_range"), Some("20000-40000"));
        assert_eq!(get("media.nested.deep"), Some("1"));
        assert_eq!(get("media.ipv6"), Some("true"));
        assert_eq!(get("datapath.affinity"), Some("2,4-7"));
        assert_eq!(get("datapath.shards"), Some("3"));
    }

    #[test]
    fn torn_files_end_quietly() {
        for text in ["a: {", "a = [", "a = \"x", "}}}", "a = = b", "/*", "a: { b = ( { c", "\\"] {
            read(text);
        }
    }
}
