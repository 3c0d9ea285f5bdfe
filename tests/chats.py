"""A tokenizer of bytes with a chat template, made in a moment, and the embedded model's where it is at hand."""

from lamarck.agent.models_cache import DEFAULT_MODEL, list_models
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% for c in m['tool_calls'] or [] %}<call>{{ c['function']['name'] }} {{ c['function']['arguments'] | tojson }}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_TOOLS = TEMPLATE.replace("m['tool_calls'] or []", "[]")


def tokenizer(template=TEMPLATE):
    """Return a tokenizer of bytes. Two line breaks are one token, so words part otherwise where text is taken out."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "ĊĊ", "<|im_start|>", "<|im_end|>"])}
    made = Tokenizer(BPE(vocabulary, [("Ċ", "Ċ")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=template
    )


def embedded_or_own():
    """Return the embedded model's tokenizer if it has been pulled, else the tokenizer of bytes."""
    [found] = [model for model in list_models() if model.name == DEFAULT_MODEL]
    return AutoTokenizer.from_pretrained(found.path) if found.state == "ready" else tokenizer()
