//! The parts that a field of a log line can play: its time, its request id, its prediction.
//!
//! Owns the closed vocabulary ([`Role`]) and the small table role → member ([`Roles`]). Which key
//! plays which role is data in [`super::aliases`]; reading a role's value is in
//! [`super::time`], [`super::latency`], [`confidence`] and [`ids`].

pub mod confidence;
pub mod ids;
pub mod token;

/// What a member of a line is to us, whatever its key is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// When it happened.
    Time,
    /// Its severity.
    Level,
    /// The sentence or event name a person reads.
    Message,
    /// A field of its own that names the event (OTel `EventName`), beside the message.
    EventName,
    /// The logger's name.
    Logger,
    /// Joins everything of one request.
    RequestId,
    /// W3C trace id, in one of the forms of [`ids::trace_id`].
    TraceId,
    /// W3C span id.
    SpanId,
    /// The model that answered.
    ModelName,
    /// Its version.
    ModelVersion,
    /// The model's input.
    Features,
    /// How many features there were.
    FeatureCount,
    /// The model's output.
    Prediction,
    /// The predicted class, where it has a member of its own.
    Label,
    /// How sure the model was, 0 to 1.
    Confidence,
    /// How long it took; units in [`super::latency`].
    Latency,
    /// HTTP or outcome status.
    Status,
    /// An error, exception or traceback.
    Error,
    /// A conversation or session.
    SessionId,
    /// Tokens read by a language model.
    InputTokens,
    /// Tokens written by a language model.
    OutputTokens,
}

impl Role {
    /// How many roles there are.
    pub const COUNT: usize = 21;

    /// All roles in the order of their numbers.
    pub const ALL: [Role; Role::COUNT] = [
        Role::Time,
        Role::Level,
        Role::Message,
        Role::EventName,
        Role::Logger,
        Role::RequestId,
        Role::TraceId,
        Role::SpanId,
        Role::ModelName,
        Role::ModelVersion,
        Role::Features,
        Role::FeatureCount,
        Role::Prediction,
        Role::Label,
        Role::Confidence,
        Role::Latency,
        Role::Status,
        Role::Error,
        Role::SessionId,
        Role::InputTokens,
        Role::OutputTokens,
    ];

    /// The role's name in conditions and columns. `latency_ms` carries the unit it is read in.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Time => "timestamp",
            Role::Level => "level",
            Role::Message => "message",
            Role::EventName => "event_name",
            Role::Logger => "logger",
            Role::RequestId => "request_id",
            Role::TraceId => "trace_id",
            Role::SpanId => "span_id",
            Role::ModelName => "model_name",
            Role::ModelVersion => "model_version",
            Role::Features => "features",
            Role::FeatureCount => "feature_count",
            Role::Prediction => "prediction",
            Role::Label => "prediction_label",
            Role::Confidence => "confidence",
            Role::Latency => "latency_ms",
            Role::Status => "status",
            Role::Error => "error",
            Role::SessionId => "session_id",
            Role::InputTokens => "input_tokens",
            Role::OutputTokens => "output_tokens",
        }
    }
}

const _: () = {
    let mut n = 0;
    while n < Role::COUNT {
        assert!(Role::ALL[n] as usize == n, "BUG: Role::ALL is out of order");
        n += 1;
    }
};

/// For each role the index of the member that plays it, in `doc.members()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles([u16; Role::COUNT]);

/// "No member plays this role."
const NONE: u16 = u16::MAX;

impl Default for Roles {
    fn default() -> Self {
        Self([NONE; Role::COUNT])
    }
}

impl Roles {
    /// The member that plays `role`.
    #[must_use]
    pub fn get(&self, role: Role) -> Option<u16> {
        let member = self.0[role as usize];
        (member != NONE).then_some(member)
    }

    /// Whether a member plays `role`.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0[role as usize] != NONE
    }

    /// Lets `member` play `role`; members beyond 65,534 play none.
    pub fn set(&mut self, role: Role, member: usize) {
        self.0[role as usize] = u16::try_from(member).unwrap_or(NONE);
    }

    /// Leaves `role` to nobody.
    pub fn clear(&mut self, role: Role) {
        self.0[role as usize] = NONE;
    }

    /// The roles that are played, with the member of each.
    pub fn iter(&self) -> impl Iterator<Item = (Role, u16)> + '_ {
        Role::ALL.into_iter().filter_map(|role| self.get(role).map(|member| (role, member)))
    }
}
