"""The routes: one blueprint per module; ``trade_form`` is shared by ``desk`` and ``trades``."""
