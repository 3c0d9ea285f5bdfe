"""A transformer of some ten thousand weights over a handful of words, made in a moment."""

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)  # matrices this small only wait for a second thread
WORDS = ("<pad>", "<end>", "<unk>", "red", "blue", "left", "right", "open", "close", "look", "door", "key")


def tokenizer(words=WORDS):
    """Return a tokenizer of whole words."""
    made = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")


def model(seed=0, hidden=32, layers=2, words=None, room=128):
    """Return an untrained model, the same for the same seed."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=words or len(WORDS),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=room,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def logprobs(net, prompt, completion):
    """Return the log-probability of each completion token after the prompt: (N,)."""
    with torch.no_grad():
        logits = net(torch.tensor([[*prompt, *completion]])).logits[0]
    rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return [rows[i, token].item() for i, token in enumerate(completion)]
