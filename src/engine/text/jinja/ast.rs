//! The syntax tree of a template. Chains (operators, attributes, filters, `elif`) are lists instead of nested nodes, so
//! that the tree is only as deep as the brackets and blocks of the source.

/// A sequence of statements.
pub type Body = Vec<Statement>;

/// A statement and its first line.
#[derive(Debug)]
pub struct Statement {
    pub line: u32,
    pub kind: Kind,
}

/// The kinds of statements.
#[derive(Debug)]
pub enum Kind {
    /// Text between the tags.
    Data(Box<str>),
    /// `{{ … }}`
    Print(Expr),
    For(Box<For>),
    If {
        branches: Vec<(Expr, Body)>,
        otherwise: Body,
    },
    Set {
        target: Target,
        value: Expr,
    },
    /// `{% set x %}…{% endset %}`
    Capture {
        target: Target,
        filters: Vec<Filter>,
        body: Body,
    },
    Macro(Macro),
    Call(Box<Call>),
    /// `{% filter … %}`
    Filtered {
        filters: Vec<Filter>,
        body: Body,
    },
    With {
        bindings: Vec<(Target, Expr)>,
        body: Body,
    },
    /// A block with its own variables, such as `{% generation %}`.
    Scope(Body),
    /// `{% block %}`. It sees the variables of the template; variables of the enclosing scope only if it is `scoped`.
    Block {
        body: Body,
        scoped: bool,
    },
    /// `{% autoescape … %}`
    Autoescape {
        on: Expr,
        body: Body,
    },
    Break,
    Continue,
    /// `include`, `import`, `from` or `extends`, which fail because there are no other templates.
    OtherTemplate(&'static str),
}

/// `{% for target in items if condition recursive %}`
#[derive(Debug)]
pub struct For {
    pub target: Target,
    pub items: Expr,
    pub condition: Option<Expr>,
    pub recursive: bool,
    pub body: Body,
    pub otherwise: Body,
}

/// A macro, or the body of a call block.
#[derive(Debug)]
pub struct Macro {
    pub name: Option<Box<str>>,
    pub parameters: Vec<(Box<str>, Option<Expr>)>,
    /// Whether the body uses `varargs`, and so accepts extra arguments.
    pub uses_varargs: bool,
    pub uses_kwargs: bool,
    pub uses_caller: bool,
    pub body: Body,
}

/// `{% call(parameters) callee(arguments) %}…{% endcall %}`
#[derive(Debug)]
pub struct Call {
    pub callee: Expr,
    pub arguments: Arguments,
    pub caller: Macro,
}

/// The target of an assignment.
#[derive(Debug)]
pub enum Target {
    Name(Box<str>),
    /// An attribute of a namespace.
    Attribute(Box<str>, Box<str>),
    Tuple(Vec<Target>),
}

/// An expression.
#[derive(Debug)]
pub enum Expr {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Box<str>),
    Name(Box<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    /// Operators of one precedence, from left to right.
    Arithmetic(Box<Expr>, Vec<(Operator, Expr)>),
    /// `a ~ b ~ c`
    Concat(Vec<Expr>),
    /// `a < b <= c`
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// `value if condition else otherwise if condition …`, each condition applying to everything before it.
    Conditional(Box<Expr>, Vec<(Expr, Option<Expr>)>),
    Postfix(Box<Expr>, Vec<Postfix>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

/// A postfix operator.
#[derive(Debug)]
pub enum Postfix {
    Attribute(Box<str>),
    Item(Expr),
    Slice(Box<Slice>),
    Call(Arguments),
    Filter(Filter),
    Test {
        name: Box<str>,
        negated: bool,
        arguments: Arguments,
    },
}

/// `start:stop:step`
#[derive(Debug, Default)]
pub struct Slice {
    pub start: Option<Expr>,
    pub stop: Option<Expr>,
    pub step: Option<Expr>,
}

/// A filter and its arguments.
#[derive(Debug)]
pub struct Filter {
    pub name: Box<str>,
    pub arguments: Arguments,
}

/// Arguments of a call.
#[derive(Debug, Default)]
pub struct Arguments {
    pub positional: Vec<Expr>,
    pub named: Vec<(Box<str>, Expr)>,
    /// `*args`
    pub rest: Option<Box<Expr>>,
    /// `**kwargs`
    pub named_rest: Option<Box<Expr>>,
}
