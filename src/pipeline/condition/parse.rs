//! From words to the typed tree. `or` binds weakest, then `and`, then `not`, then comparisons.

use super::lex::{Place, Word, words};
use super::types::{is_number, is_text, kind_of, level_of, name_of, named_field};
use super::{Condition, ConditionError, Field, Literal, Node, Order, Test};

/// Parentheses and `not`s deeper than this are a mistake, and would recurse.
const MAX_DEPTH: usize = 64;
/// Words of one condition: bounds what one event's evaluation can cost.
const MAX_WORDS: usize = 1000;

pub(super) type Result<T> = std::result::Result<T, ConditionError>;

pub(super) fn parse(source: &str) -> Result<Condition> {
    let words = words(source)?;
    if words.len() > MAX_WORDS {
        let place = words[MAX_WORDS].1;
        let error = ConditionError::new(place, "the condition is too long");
        return Err(error.hint("Write several rules instead."));
    }
    let mut parser = Parser { words, at: 0, depth: 0, fields: Vec::new() };
    if parser.word() == &Word::End {
        let error = ConditionError::new(parser.place(), "the condition is empty");
        return Err(error.hint("Write a comparison such as level >= \"error\"."));
    }
    let root = parser.any_of()?;
    match parser.word() {
        Word::End => Ok(Condition { root, fields: parser.fields }),
        Word::Sign(")") => {
            Err(ConditionError::new(parser.place(), "\")\" closes nothing").hint("Remove it."))
        }
        _ => Err(ConditionError::new(parser.place(), "expected \"and\", \"or\" or the end")
            .hint("Join comparisons with \"and\" or \"or\".")),
    }
}

struct Parser {
    words: Vec<(Word, Place)>,
    at: usize,
    depth: usize,
    fields: Vec<Field>,
}

/// A comparison sign, or `in`.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Order(Order),
    NotEqual,
    Like,
    In,
}

/// A value with its place.
pub(super) struct Value {
    pub(super) literal: Literal,
    pub(super) place: Place,
}

impl Parser {
    fn word(&self) -> &Word {
        &self.words[self.at].0
    }

    fn place(&self) -> Place {
        self.words[self.at].1
    }

    /// Steps over the current word; the end is never stepped over.
    fn step(&mut self) {
        self.at = (self.at + 1).min(self.words.len() - 1);
    }

    fn take_name(&mut self, name: &str) -> bool {
        let taken = matches!(self.word(), Word::Name(word) if word == name);
        if taken {
            self.step();
        }
        taken
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let taken = matches!(self.word(), Word::Sign(word) if *word == sign);
        if taken {
            self.step();
        }
        taken
    }

    fn expect_sign(&mut self, sign: &str, hint: &str) -> Result<()> {
        if self.take_sign(sign) {
            return Ok(());
        }
        Err(ConditionError::new(self.place(), format!("expected \"{sign}\"")).hint(hint))
    }

    fn any_of(&mut self) -> Result<Node> {
        let mut nodes = vec![self.all_of()?];
        while self.take_name("or") {
            nodes.push(self.all_of()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Or(nodes) })
    }

    fn all_of(&mut self) -> Result<Node> {
        let mut nodes = vec![self.negation()?];
        while self.take_name("and") {
            nodes.push(self.negation()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::And(nodes) })
    }

    fn negation(&mut self) -> Result<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let error = ConditionError::new(self.place(), "nested too deep");
            return Err(error.hint(format!("At most {MAX_DEPTH} levels are allowed.")));
        }
        let node = if self.take_name("not") {
            Node::Not(Box::new(self.negation()?))
        } else if self.take_sign("(") {
            let node = self.any_of()?;
            self.expect_sign(")", "Close the group with \")\".")?;
            node
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node> {
        if self.take_name("exists") {
            self.expect_sign("(", "Write exists(field).")?;
            let (field, place) = self.field()?;
            self.expect_sign(")", "Write exists(field).")?;
            if matches!(field, Field::Kind) {
                let error = ConditionError::new(place, "every event has a kind");
                return Err(error.hint("Compare it: kind == \"prediction\"."));
            }
            return Ok(Node::Exists(self.number_of(field)));
        }
        let (field, _) = self.field()?;
        let (sign, sign_place) = self.sign()?;
        if sign == Sign::In {
            return self.membership(field);
        }
        let value = self.value()?;
        self.test(field, (sign, sign_place), value)
    }

    fn field(&mut self) -> Result<(Field, Place)> {
        let place = self.place();
        let name = match self.word() {
            Word::Name(name) if !is_keyword(name) => name.clone(),
            Word::End => {
                let error = ConditionError::new(place, "expected a field, found the end");
                return Err(error.hint("Write a comparison such as level >= \"error\"."));
            }
            Word::Text(_) | Word::Number(_) => {
                let error = ConditionError::new(place, "expected a field, found a value");
                return Err(error.hint("The field stands on the left: model_name == \"fraud\"."));
            }
            _ => {
                let error = ConditionError::new(place, "expected a field");
                return Err(error.hint("Write a comparison such as level >= \"error\"."));
            }
        };
        self.step();
        if name == "field" && self.take_sign("(") {
            let Word::Text(path) = self.word().clone() else {
                let error = ConditionError::new(self.place(), "expected a path in quotes");
                return Err(error.hint("Write field(\"x-request-id\")."));
            };
            self.step();
            self.expect_sign(")", "Write field(\"x-request-id\").")?;
            return Ok((Field::Path(path.into()), place));
        }
        Ok((named_field(&name, place)?, place))
    }

    fn sign(&mut self) -> Result<(Sign, Place)> {
        let place = self.place();
        let sign = match self.word() {
            Word::Sign("==") => Sign::Order(Order::Equal),
            Word::Sign("!=") => Sign::NotEqual,
            Word::Sign("<") => Sign::Order(Order::Less),
            Word::Sign("<=") => Sign::Order(Order::LessOrEqual),
            Word::Sign(">") => Sign::Order(Order::Greater),
            Word::Sign(">=") => Sign::Order(Order::GreaterOrEqual),
            Word::Sign("~") => Sign::Like,
            Word::Name(name) if name == "in" => Sign::In,
            Word::Name(name) if name == "not" || name == "is" => {
                let error = ConditionError::new(place, format!("\"{name}\" cannot stand here"));
                return Err(error.hint("Write \"not\" before the whole comparison, or \"!=\"."));
            }
            _ => {
                let error = ConditionError::new(place, "expected a comparison");
                return Err(error.hint("Comparisons are ==, !=, <, <=, >, >=, ~ and in."));
            }
        };
        self.step();
        Ok((sign, place))
    }

    fn value(&mut self) -> Result<Value> {
        let place = self.place();
        let literal = match self.word() {
            Word::Text(text) => Literal::Text(text.as_bytes().into()),
            Word::Number(number) => Literal::Number(*number),
            Word::Name(name) if name == "true" => Literal::Bool(true),
            Word::Name(name) if name == "false" => Literal::Bool(false),
            Word::Name(name) if matches!(name.as_str(), "null" | "none" | "None") => {
                let error = ConditionError::new(place, "nothing equals null");
                return Err(error.hint("Write exists(field) or not exists(field)."));
            }
            Word::Name(name) => {
                let error = ConditionError::new(place, format!("\"{name}\" is not a value"));
                return Err(error.hint(format!("Put text in double quotes: \"{name}\".")));
            }
            _ => {
                let error = ConditionError::new(place, "expected a value");
                return Err(error.hint("Values are \"text\", numbers, true and false."));
            }
        };
        self.step();
        Ok(Value { literal, place })
    }

    fn membership(&mut self, field: Field) -> Result<Node> {
        self.expect_sign("[", "Write a list: in [\"fraud\", \"abuse\"].")?;
        let mut values = vec![self.value()?];
        while self.take_sign(",") {
            if matches!(self.word(), Word::Sign("]")) {
                break;
            }
            values.push(self.value()?);
        }
        self.expect_sign("]", "Close the list with \"]\", and put \",\" between values.")?;
        let test = match &field {
            Field::Level => Test::LevelIn(each(&values, level_of)?),
            Field::Kind => Test::KindIn(each(&values, kind_of)?),
            _ => {
                for value in &values {
                    self.check_type(&field, value)?;
                }
                let literals = values.into_iter().map(|value| value.literal).collect();
                Test::In(self.number_of(field), literals)
            }
        };
        Ok(Node::Test(test))
    }

    fn test(&mut self, field: Field, (sign, place): (Sign, Place), value: Value) -> Result<Node> {
        let negated = sign == Sign::NotEqual;
        let order = match sign {
            Sign::Order(order) => order,
            _ => Order::Equal,
        };
        if sign == Sign::Like {
            return self.like(field, value).map(Node::Test);
        }
        let test = match (&field, &value.literal) {
            (Field::Level, _) => Test::Level(order, level_of(&value)?),
            (Field::Kind, _) if order == Order::Equal => Test::KindIn(vec![kind_of(&value)?]),
            (Field::Kind, _) => {
                let error = ConditionError::new(place, "kinds have no order");
                return Err(error.hint("Compare with ==, != or in."));
            }
            (_, Literal::Number(number)) => {
                self.check_type(&field, &value)?;
                Test::Number(self.number_of(field), order, *number)
            }
            (_, _) if order != Order::Equal => {
                self.check_type(&field, &value)?;
                let error = ConditionError::new(value.place, "only numbers and levels have order");
                return Err(error.hint("Write a number without quotes, or compare with == or ~."));
            }
            _ => {
                self.check_type(&field, &value)?;
                Test::Equal(self.number_of(field), value.literal)
            }
        };
        let node = Node::Test(test);
        Ok(if negated { Node::Not(Box::new(node)) } else { node })
    }

    fn like(&mut self, field: Field, value: Value) -> Result<Test> {
        let Literal::Text(pattern) = value.literal else {
            let error = ConditionError::new(value.place, "\"~\" searches for text");
            return Err(error.hint("Put it in double quotes; * and ? stand for any text."));
        };
        if matches!(field, Field::Level | Field::Kind) || is_number(&field) {
            let message = format!("\"{}\" is not text", name_of(&field));
            let error = ConditionError::new(value.place, message);
            return Err(error.hint("Use \"~\" on text fields such as message."));
        }
        Ok(Test::Like(self.number_of(field), pattern))
    }

    /// Refuses a value that the field can never equal.
    fn check_type(&self, field: &Field, value: &Value) -> Result<()> {
        let name = name_of(field);
        match (&value.literal, is_number(field), is_text(field)) {
            (Literal::Text(_) | Literal::Bool(_), true, _) => Err(ConditionError::new(
                value.place,
                format!("\"{name}\" is a number, and is compared with text"),
            )
            .hint("Write a number without quotes.")),
            (Literal::Number(_) | Literal::Bool(_), _, true) => Err(ConditionError::new(
                value.place,
                format!("\"{name}\" is text, and is compared with something else"),
            )
            .hint("Put the value in double quotes.")),
            _ => Ok(()),
        }
    }

    /// The field's number in the condition; the same field always has the same number.
    fn number_of(&mut self, field: Field) -> u16 {
        let at = self.fields.iter().position(|known| *known == field).unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        });
        u16::try_from(at).expect("BUG: a condition has at most MAX_WORDS fields")
    }
}

fn each<T>(values: &[Value], read: fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    values.iter().map(read).collect()
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "and" | "or" | "not" | "in" | "exists" | "true" | "false" | "null")
}
