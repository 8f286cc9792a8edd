"""Which test shows each fault of untrusted input; all of them are there."""

import ast
import pathlib

import pytest

TESTS = pathlib.Path(__file__).parents[1]
# By fault: file and what its tests are called.
ROWS = {
  "28 an answer makes the verifier hang": (
    ("test_maths.py", "test_hostile_answers_are_never_right_run_nothing"),
    ("test_maths.py", "test_a_comparison_that_takes_too_long_is_unknown"),
    ("test_pool.py", "test_all_faults_at_once_leave_the_rest_as_it_is"),
    ("test_lint.py", "test_every_regular_expression_takes_linear_time"),
  ),
  "29 a worker eats memory, leaves, crashes or ignores signals": (
    ("test_pool.py", "test_a_faulty_job_is_unknown_and_no_other_is"),
    ("test_pool.py", "test_a_program_that_ends_leaves_no_process"),
    ("test_pool.py", "test_an_idle_worker_that_was_killed_costs_no_verdict"),
  ),
  "30 an answer is code, huge or not text": (
    ("faults/test_hostile_answers.py", "test_no_hostile_text_is_right_runs"),
    ("test_maths.py", "test_no_text_is_run_as_python_by_whatever_path"),
    ("test_maths.py", "test_answers_that_are_too_large_are_wrong_at_once"),
    ("test_extract.py", "test_hostile_texts_are_read_in_no_time"),
    ("test_lint.py", "test_no_file_runs_or_unpickles_what_others_wrote"),
  ),
  "31 too many grades are unknown": (
    ("test_grading.py", "test_many_unknown_rewards_stop_the_run"),
    ("faults/test_hostile_answers.py", "test_a_grader_that_fails_on_too_many"),
  ),
  "32 a reference cannot be parsed": (
    ("test_filters.py", "test_a_reference_that_cannot_be_parsed_is_an_error"),
    ("test_maths.py", "test_references_are_checked_when_data_are_loaded"),
    ("test_code.py", "test_a_reference_without_tests_is_told"),
  ),
  "33 a program attacks the machine": (
    ("faults/test_code_sandbox.py", "test_a_hostile_program_ends_in_time"),
    ("faults/test_code_sandbox.py", "test_no_attempt_to_leave_the_sandbox"),
    ("faults/test_code_sandbox.py", "test_a_program_inherits_no_environment"),
    ("faults/test_code_sandbox.py", "test_a_machine_without_namespaces"),
    ("test_code.py", "test_programs_run_only_if_both_options_say_so"),
  ),
  "34 weights are a pickle or bring code": (
    ("faults/test_weights.py", "test_a_pickle_offered_as_weights_is_refused"),
    ("faults/test_weights.py", "test_a_config_that_asks_for_too_much"),
    ("test_hf_refused.py", "test_a_config_that_does_not_fit_is_refused"),
    ("test_hf_tokenizer.py", "test_a_tokenizer_that_is_code_is_refused"),
  ),
  "35 safetensors are damaged": (
    ("faults/test_weights.py", "test_a_file_that_lies_about_itself"),
    ("faults/test_weights.py", "test_a_link_that_leads_out_of_the_folder"),
    ("faults/test_weights.py", "test_a_digest_that_is_given_must_be_that"),
    ("test_hf_refused.py", "test_a_wrong_tensor_is_refused_by_name"),
    ("test_hf_refused.py", "test_a_truncated_file_is_refused"),
    ("test_hf_refused.py", "test_an_index_cannot_point_outside_the_folder"),
  ),
  "36 a configuration is wrong": (
    ("test_config.py", "test_a_bad_config_is_told_by_name_value_and_remedy"),
    ("test_config.py", "test_no_mistake_hides_another"),
    ("test_fuzz.py", "test_an_edited_configuration_is_right_or_names_the"),
  ),
  "37 a dataset is wrong": (
    ("test_sources.py", "test_a_file_without_rows_is_told"),
    ("test_sources.py", "test_a_missing_field_names_those_that_are_there"),
    ("test_sources.py", "test_a_column_that_is_not_utf_8_is_told_with_its_row"),
    ("test_sources.py", "test_a_line_that_is_not_utf_8_is_told"),
    ("test_sources.py", "test_a_truncated_parquet_file_is_told"),
    ("test_filters.py", "test_prompts_that_are_empty_too_long_or_repeated"),
    ("test_filters.py", "test_duplicate_ids_of_different_problems_are"),
    ("test_files.py", "test_what_is_dropped_leaves_the_order_of_the_rest"),
  ),
}


@pytest.mark.parametrize("row", ROWS)
def test_every_fault_of_untrusted_input_has_its_tests(row):
  for file, start in ROWS[row]:
    tree = ast.parse((TESTS / file).read_text())
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
    assert any(name.startswith(start) for name in names), (file, start)
