//! The names of the classifier's rules. Their numbers are stored with every record, so a rule is
//! only ever added at the end.

/// Declares the rules once: number, name, meaning.
macro_rules! rules {
    ($($rule:ident = $name:literal, $doc:literal;)*) => {
        /// A rule that decided a kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Rule {
            $(#[doc = $doc] $rule,)*
        }

        /// The rules' names, by number.
        pub const RULES: &[&str] = &[$($name),*];
    };
}

rules! {
    Default = "default", "Nothing spoke for another kind.";
    Kserve = "envelope.kserve", "CloudEvent of KServe's logger.";
    Seldon = "envelope.seldon", "CloudEvent of Seldon or MLServer.";
    AzureMl = "envelope.azureml", "CloudEvent of Azure ML's data collector.";
    SageMaker = "envelope.sagemaker", "SageMaker data capture.";
    BentoRow = "envelope.bento_row", "BentoML monitoring: a row.";
    BentoSchema = "envelope.bento_schema", "BentoML monitoring: the columns' roles.";
    Oip = "envelope.oip", "Open Inference Protocol body.";
    TritonTrace = "envelope.triton_trace", "Triton trace.";
    Databricks = "envelope.databricks", "Databricks inference table.";
    Vertex = "envelope.vertex", "Vertex AI request-response log.";
    OpenInference = "envelope.openinference", "OpenInference span attributes.";
    GenAi = "envelope.gen_ai", "OpenTelemetry GenAI attributes.";
    LiteLlm = "envelope.litellm", "LiteLLM standard logging payload.";
    OpenAi = "envelope.openai", "OpenAI completion body.";
    TfServing = "envelope.tf_serving", "TensorFlow Serving or MLflow body.";
    EventRequest = "event.request", "An event name of a request.";
    EventPrediction = "event.prediction", "An event name of a prediction.";
    EventModel = "event.model", "An event name of a model's life.";
    EventData = "event.data", "An event name of data quality.";
    StructureRequest = "structure.request", "Features and no output.";
    StructurePrediction = "structure.prediction", "An output with a model, request or latency.";
    StructureModel = "structure.model", "Load times, weights, memory.";
    StructureModelError = "structure.model_error", "An error beside a model and no output.";
    StructureData = "structure.data", "At least two words of data quality.";
    MessageRequest = "message.request", "The message tells of a request.";
    MessagePrediction = "message.prediction", "The message tells of a prediction.";
    MessageModel = "message.model", "The message tells of a model's life.";
    MessageData = "message.data", "The message tells of data quality.";
    TextAccess = "text.access", "Access line of uvicorn, gunicorn or the like.";
    TextPython = "text.python", "Python logging, `LEVEL:logger:message`.";
    TextAsctime = "text.asctime", "A time, a level and a message.";
    TextVllm = "text.vllm", "vLLM.";
    TextVllmRequest = "text.vllm_request", "vLLM: a request with its parameters.";
    TextTriton = "text.triton", "Triton or another glog.";
    TextTritonModel = "text.triton_model", "Triton: a model's life.";
    TextTritonTrace = "text.triton_trace", "Triton trace, as an array.";
    TextTgiGenerate = "text.tgi_generate", "TGI: one generation with its timings.";
    TextTorchServe = "text.torchserve", "TorchServe.";
    TextTorchServeMetric = "text.torchserve_metric", "TorchServe: a metric.";
    TextRay = "text.ray", "Ray Serve.";
    TextBento = "text.bento", "BentoML server.";
    TextMlServer = "text.mlserver", "MLServer.";
    TextBrokenJson = "text.broken_json", "JSON that is none: fields were read one by one.";
    TextKserveTrace = "text.kserve_trace", "KServe: one request's stages.";
    TextKserveEvent = "text.kserve_event", "KServe: a CloudEvent's headers and body.";
    TextSeldon = "text.seldon", "Seldon: a pipeline step's topic, id and body.";
    TextJava = "text.java", "Spring Boot.";
    TextTraceback = "text.traceback", "A Python traceback.";
    TextLogfmt = "text.logfmt", "Logfmt.";
    TextGunicorn = "text.gunicorn", "gunicorn's own log.";
    TextLoguru = "text.loguru", "loguru.";
    TextLevel = "text.level", "A level and a message.";
    TextTensorFlow = "text.tensorflow", "TensorFlow Serving.";
}

/// The first own rule's number; own rule `n` is `OWN_RULE + n`, and those beyond the last number
/// share it.
pub const OWN_RULE: u8 = 192;

const _: () = assert!(RULES.len() < OWN_RULE as usize, "BUG: rules and own rules overlap");

/// The name of rule `number`: of a built-in rule, `own` for one from the config, `unknown` for a
/// newer version's.
#[must_use]
pub fn rule_name(number: u8) -> &'static str {
    match RULES.get(usize::from(number)) {
        Some(name) => name,
        None if number >= OWN_RULE => "own",
        None => "unknown",
    }
}
